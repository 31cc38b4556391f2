#!/bin/sh
# Sends an event to everyone: post.sh URL, with the key in PUBLISH_KEY.
curl --silent --show-error --fail-with-body "$1" \
    --header "Authorization: Bearer $PUBLISH_KEY" \
    --json '{"everyone": true, "event": "news", "data": {"text": "größer"}}'
