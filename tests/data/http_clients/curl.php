<?php
$request = curl_init($argv[1]);
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ['Authorization: Bearer a-key-of-the-tests', 'Content-Type: application/json'],
    CURLOPT_POSTFIELDS => json_encode(['user' => '13', 'event' => 'news', 'data' => ['text' => 'größer']]),
]);
echo curl_exec($request);
