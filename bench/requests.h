/* Every client keeps HTTP requests in flight on one connection. Included by loadgen.c alone.
 *
 * A response must have the status 200 and a Content-Length, and leave the connection open.
 */
static char request[1024];
static size_t request_size;
static double *requested_at; /* of each client's requests under way, request n in place n % MAX_INFLIGHT */

static double *requested_at_of(Client *c, uint32_t n) {
    return &requested_at[number_of(c) * MAX_INFLIGHT + (int)(n % MAX_INFLIGHT)];
}

static void send_request(Client *c, uint32_t n) {
    queue(request, request_size);
    *requested_at_of(c, n) = now;
    sent++;
}

static void begin_requests(Client *c) {
    c->state = OPEN;
    opened++;
    for (int i = 0; i < (int)opt.inflight; i++) send_request(c, (uint32_t)i);
    flush(c);
}

/* Takes the response at the front of the bytes. Returns its size, 0 while it is not complete. */
static size_t take_response(Client *c, const uint8_t *bytes, size_t size) {
    static const char OK[] = "HTTP/1.1 200", LENGTH[] = "\r\ncontent-length: ";
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - bytes) + 4;
    const char *length = memmem(bytes, head, LENGTH, sizeof LENGTH - 1);
    if (memcmp(bytes, OK, sizeof OK - 1) != 0 || !length)
        fail("client %d received something else than a page: %.*s", number_of(c), (int)head, (const char *)bytes);
    size_t whole = head + (size_t)atoi(length + sizeof LENGTH - 1); /* it ends at the line break at the latest */
    if (size < whole) return 0;
    received++;
    count_latency(*requested_at_of(c, c->received++)); /* responses come in the order of the requests */
    if (!draining) send_request(c, c->received - 1 + (uint32_t)opt.inflight);
    return whole;
}

static void requests(void) {
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: */*\r\n\r\n", opt.path,
                        opt.host, ports.items[0]);
    if (size >= (int)sizeof request) fail("--path is too long");
    request_size = (size_t)size;
    requested_at = calloc((size_t)opt.clients * MAX_INFLIGHT, sizeof *requested_at);
    if (!requested_at) fail("out of memory");
    on_connected = begin_requests;
    take_next = take_response;
    open_clients((int)opt.clients);
    Measured m = measure();
    draining = true;
    run_until_received(sent);
    report_measured(&m, "requests");
    puts("}");
}
