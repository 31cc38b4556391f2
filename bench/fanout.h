/* One client publishes, every client receives. Included by loadgen.c alone, after opening.h. */
static bool is_in_room; /* whether the clients are in a room, and what is published names it */
static Frame publications[TEXTS];
static double published_at[MAX_INFLIGHT]; /* of the messages under way, message k in place k % MAX_INFLIGHT */

static Frame publication_of(const char *text) {
    char *payload = is_in_room ? formatted("{\"room_id\":\"%d\",\"text\":\"%s\"}", FIRST_ROOM, text)
                               : formatted("{\"text\":\"%s\"}", text);
    Frame frame = event_frame(opt.event, payload);
    free(payload);
    return frame;
}

/* Publishes what may be in flight: message k + inflight goes out once all clients have message k. */
static void publish_more(void) {
    uint64_t complete = received / (uint64_t)opt.clients, sent_before = sent;
    for (; !draining && sent < complete + (uint64_t)opt.inflight; sent++) {
        published_at[sent % MAX_INFLIGHT] = now;
        Frame *publication = &publications[sent % TEXTS];
        queue(publication->bytes, publication->size);
    }
    if (sent > sent_before) flush(&clients[0]);
}

/* Looks where the text is in the first delivery. It is there in all others; only in a room that keeps history it moves as
 * the digits of the position grow. */
static bool has_text(const char *text, size_t size, uint64_t message) {
    static size_t place, length;
    const char *expected = text_of(message);
    if (length && place + length <= size && memcmp(text + place, expected, length) == 0) return true;
    const char *at = memmem(text, size, expected, strlen(expected));
    if (!at || !memmem(text, size, "\"news\"", 6)) return false;
    place = (size_t)(at - text);
    length = strlen(expected);
    return true;
}

static void take_delivery(Client *c, const char *text, size_t size) {
    if (!has_text(text, size, c->received))
        fail("client %d received something else than the news: %.*s", number_of(c), (int)size, text);
    if (opt.compressed && !is_compressed) fail("client %d received a message that was not compressed", number_of(c));
    count_latency(published_at[c->received++ % MAX_INFLIGHT]);
    received++;
}

/* Every client must have every message, neither more nor less. */
static void check_deliveries(void) {
    draining = true;
    run_until_received(sent * (uint64_t)opt.clients);
    for (int i = 0; i < opened; i++)
        if (clients[i].received != sent)
            fail("client %d received %u of %llu messages", i, clients[i].received, (unsigned long long)sent);
}

static void measure_fanout(void) {
    for (uint64_t i = 0; i < TEXTS; i++) publications[i] = publication_of(text_of(i));
    on_message = take_delivery;
    on_read = publish_more;
    publish_more();
    Measured m = measure();
    check_deliveries();
    report_measured(&m, "deliveries");
    printf(", \"messages\": %.0f, \"bytes\": %.0f}\n", m.count / opt.clients, bytes_between(&m.a, &m.b));
}

static void fanout(void) {
    open_clients((int)opt.clients);
    measure_fanout();
}

/* The same in a room, which all clients join before. */
static void fanout_in_room(void) {
    is_in_room = true;
    open_members((int)opt.clients);
    sent = received = 0;
    measure_fanout();
}
