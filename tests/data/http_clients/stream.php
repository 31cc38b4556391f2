<?php
$options = ['http' => [
    'method' => 'POST',
    'header' => "Authorization: Bearer a-key-of-the-tests\r\nContent-Type: application/json\r\n",
    'content' => json_encode(['everyone' => true, 'event' => 'news', 'data' => ['text' => 'größer/kleiner']]),
]];
echo file_get_contents($argv[1], false, stream_context_create($options));
