<?php
// Sends an event to user 13, with PHP's cURL: php post_curl.php URL, with the key in PUBLISH_KEY.

$request = curl_init($argv[1]);
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('PUBLISH_KEY'), 'Content-Type: application/json'],
    CURLOPT_POSTFIELDS => json_encode(['user' => '13', 'event' => 'news', 'data' => ['text' => 'größer']]),
]);
echo curl_exec($request);
