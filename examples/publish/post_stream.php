<?php
// Sends an event to everyone: php post_stream.php URL, with the key in PUBLISH_KEY.

$options = ['http' => [
    'method' => 'POST',
    'header' => 'Authorization: Bearer ' . getenv('PUBLISH_KEY') . "\r\nContent-Type: application/json\r\n",
    'content' => json_encode(['everyone' => true, 'event' => 'news', 'data' => ['text' => 'größer/kleiner']]),
]];
echo file_get_contents($argv[1], false, stream_context_create($options));
