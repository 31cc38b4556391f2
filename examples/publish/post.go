// Sends an event to users 13 and 14: go run post.go URL, with the key in PUBLISH_KEY.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	data := map[string]string{"text": "größer"}
	body, _ := json.Marshal(map[string]any{"users": []string{"13", "14"}, "event": "news", "data": data})
	request, err := http.NewRequest("POST", os.Args[1], bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("PUBLISH_KEY"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, string(answer))
}
