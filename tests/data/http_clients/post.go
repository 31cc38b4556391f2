package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	body, _ := json.Marshal(map[string]any{"users": []string{"13", "14"}, "event": "news", "data": map[string]string{"text": "größer"}})
	var reader io.Reader = bytes.NewReader(body)
	if len(os.Args) > 2 {
		reader = io.MultiReader(reader) // of unknown length: chunked
	}
	request, _ := http.NewRequest("POST", os.Args[1], reader)
	request.Header.Set("Authorization", "Bearer a-key-of-the-tests")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	fmt.Println(response.Status, string(text))
}
