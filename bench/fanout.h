/* One client publishes, every client receives. Included by loadgen.c alone, after opening.h. */
static bool is_in_room; /* whether the clients are in a room, and what is published names it */
static Frame publication;
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
        queue(publication.bytes, publication.size);
    }
    if (sent > sent_before) flush(&clients[0]);
}

static size_t news_size; /* of one message, as it arrives; 0 before the first */

static bool has_news(const char *text, size_t size) {
    return memmem(text, size, "\"news\"", 6) && memmem(text, size, the_text(), strlen(the_text()));
}

/* Looks into the first delivery only: all are alike, so the others must have its size. In a room that keeps history the
 * size grows with the digits of the position: then it looks again. */
static void take_delivery(Client *c, const char *text, size_t size) {
    bool is_news = (news_size && size == news_size) || has_news(text, size);
    if (!is_news) fail("client %d received something else than the news: %.*s", number_of(c), (int)size, text);
    if (opt.compressed && !is_compressed) fail("client %d received a message that was not compressed", number_of(c));
    news_size = size;
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
    publication = publication_of(the_text());
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
