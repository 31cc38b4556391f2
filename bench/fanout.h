/* One client publishes, every client receives. Included by loadgen.c alone, after opening.h. */
static const char NEWS[] = "Sixty characters are what a line of chat has on average, so.";
static Frame publication;
static double published_at[MAX_INFLIGHT]; /* of the messages under way, message k in place k % MAX_INFLIGHT */

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

/* A compressed message is taken for the news, as it is not inflated. */
static bool has_news(const char *text, size_t size) {
    return compressed || (memmem(text, size, "\"news\"", 6) && memmem(text, size, NEWS, sizeof NEWS - 1));
}

/* Looks into the first delivery only: all are alike, so the others must have its size. In a room that keeps history the
 * size grows with the digits of the position: then it looks again. */
static void take_delivery(Client *c, const char *text, size_t size) {
    bool is_news = (news_size && size == news_size) || has_news(text, size);
    if (!is_news) fail("client %d received something else than the news: %.*s", number_of(c), (int)size, text);
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
    char payload[sizeof NEWS + 16];
    snprintf(payload, sizeof payload, "{\"text\":\"%s\"}", NEWS);
    publication = event_frame(opt.event, payload);
    on_message = take_delivery;
    on_read = publish_more;
    publish_more();
    run_for(opt.warmup);
    forget_latencies();
    Reading a = take_reading();
    run_for(opt.seconds);
    Reading b = take_reading();
    double deliveries = received_between(&a, &b);
    Latencies taken = take_latencies(deliveries);
    check_deliveries();
    report(&a, &b, "deliveries", deliveries);
    report_latencies(taken);
    printf(", \"messages\": %.0f, \"bytes\": %zu}\n", deliveries / opt.clients, news_size);
}

static void fanout(void) {
    open_clients((int)opt.clients);
    measure_fanout();
}

/* The same in a room, which all clients join before. */
static void fanout_in_room(void) {
    open_members((int)opt.clients);
    sent = received = 0;
    measure_fanout();
}
