#!/bin/sh
# Serves the pages and, below /api, the quotes.
mkdir -p /tmp/www && cp -r /srv/www/. /tmp/www/ && cp -r /srv/api /tmp/www/api
exec busybox httpd -f -p "$PORT" -h /tmp/www
