/* A WebSocket load generator for one core: `loadgen MODE --port P ...`, where MODE is
 *
 *   fanout   client 0 publishes, every client receives: deliveries a second
 *   calls    every client keeps calls in flight: answers a second and their latency
 *   connect  every client connects and upgrades: seconds until all are open
 *   idle     what an open, joined connection costs the server in memory
 *
 * It prints one line of JSON, or says on stderr what went wrong and exits with 1. Whatever is not what
 * the server should do is a failure: a lost connection, a Close, a refusal, a message too many or too few.
 *
 * Build: cc -O2 -o loadgen loadgen.c
 */
#define _GNU_SOURCE
#include "clients.h"

#include <sys/resource.h>

enum {
    MAX_INFLIGHT = 64,     /* so that what one client has in flight always fits its socket's buffer */
    ID_DIGITS = 8,         /* of a callbackId */
    LARGEST_ID = 99999999,
    BUCKET_US = 10,        /* latencies are counted in buckets this wide, */
    BUCKETS = 200 * 1000,  /* up to two seconds */
};

static bool draining; /* what is in flight may still arrive, nothing new is sent */

/* ---- what /proc says of a process ---- */

static void read_proc(int pid, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (!file) fail("cannot read %s: %s", path, strerror(errno));
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Seconds of CPU it has used so far. */
static double cpu_of(int pid) {
    char text[1024];
    unsigned long user, system;
    read_proc(pid, "stat", text, sizeof text);
    const char *fields = strrchr(text, ')'); /* the name before it may contain anything */
    if (!fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("/proc/%d/stat is not as expected: %s", pid, text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Seconds it was ready to run so far, while something else had its core. */
static double wait_of(int pid) {
    char text[128];
    unsigned long long waited;
    read_proc(pid, "schedstat", text, sizeof text);
    if (sscanf(text, "%*u %llu", &waited) != 1) fail("/proc/%d/schedstat is not as expected: %s", pid, text);
    return (double)waited * 1e-9;
}

static double rss_of(int pid) {
    char text[4096];
    read_proc(pid, "status", text, sizeof text);
    const char *line = strstr(text, "VmRSS:");
    if (!line) fail("process %d has no VmRSS", pid);
    return atof(line + strlen("VmRSS:")) * 1024;
}

/* ---- measuring ---- */

typedef struct {
    double cpu, wait;
} Usage;

typedef struct {
    double time;
    uint64_t received;
    Usage own, server; /* zeros for a server whose pid we were not told */
} Reading;

static Usage usage_of(int pid) { return pid ? (Usage){cpu_of(pid), wait_of(pid)} : (Usage){0, 0}; }

static Reading take_reading(void) {
    return (Reading){clock_seconds(CLOCK_MONOTONIC), received, usage_of(getpid()), usage_of((int)opt.server_pid)};
}

/* Prints which shares of the time a process worked, and waited for a core that it should have had alone. */
static void report_usage(const char *who, const Usage *a, const Usage *b, double seconds) {
    printf(", \"%s_busy\": %.3f, \"%s_waited\": %.3f", who, (b->cpu - a->cpu) / seconds, who,
           (b->wait - a->wait) / seconds);
}

/* Prints what every mode tells of the time between two readings: the beginning of the JSON line. */
static void report(const Reading *a, const Reading *b, const char *unit, double count) {
    double seconds = b->time - a->time;
    printf("{\"clients\": %d, \"seconds\": %.4f, \"%s\": %.0f, \"per_second\": %.1f", (int)opt.clients, seconds, unit,
           count, count / seconds);
    report_usage("generator", &a->own, &b->own, seconds);
    if (!opt.server_pid) return;
    report_usage("server", &a->server, &b->server, seconds);
    printf(", \"cpu_us\": %.3f", (b->server.cpu - a->server.cpu) * 1e6 / count);
}

/* Sees that the server did something at all between two readings. Returns how much. */
static double received_between(const Reading *a, const Reading *b) {
    if (a->received == b->received) fail("nothing was received in %g s", opt.seconds);
    return (double)(b->received - a->received);
}

/* ---- fanout ---- */

static const char NEWS[] = "Sixty characters are what a line of chat has on average, so.";
static Frame publication;

/* Publishes what may be in flight: message k + inflight goes out once all clients have message k. */
static void publish_more(void) {
    uint64_t complete = received / (uint64_t)opt.clients, sent_before = sent;
    for (; !draining && sent < complete + (uint64_t)opt.inflight; sent++) queue(publication.bytes, publication.size);
    if (sent > sent_before) flush(&clients[0]);
}

/* Looks into the first delivery only: all are alike, so the others must have its size. */
static void take_delivery(Client *c, const char *text, size_t size) {
    static size_t news_size;
    bool is_news = news_size ? size == news_size
                             : memmem(text, size, "\"news\"", 6) && memmem(text, size, NEWS, sizeof NEWS - 1);
    if (!is_news) fail("client %d received something else than the news: %.*s", number_of(c), (int)size, text);
    news_size = size;
    c->received++;
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

static void fanout(void) {
    publication = text_frame("{\"event\":\"%s\",\"payload\":{\"text\":\"%s\"}}", opt.event, NEWS);
    open_clients((int)opt.clients);
    on_message = take_delivery;
    on_read = publish_more;
    publish_more();
    run_for(opt.warmup);
    Reading a = take_reading();
    run_for(opt.seconds);
    Reading b = take_reading();
    check_deliveries();
    double deliveries = received_between(&a, &b);
    report(&a, &b, "deliveries", deliveries);
    printf(", \"inflight\": %d, \"messages\": %.0f}\n", (int)opt.inflight, deliveries / opt.clients);
}

/* ---- calls ----
 *
 * With --batch 1 the calls that one read causes leave in one write. As all calls of a client start
 * together they then stay together, answers included, and what is measured is the work on messages.
 * With --batch 0 each call leaves in a write of its own, as from an application whose calls have nothing
 * to do with each other: that measures system calls, those of this generator first of all, so look at
 * cpu_us then and not at the rate.
 */

typedef struct {
    uint32_t id; /* 0: no call is under way */
    double asked_at;
} Call;

static Frame call_frame; /* ends with the id, ID_DIGITS digits wide, and "} */
static Call *calls_under_way;
static uint32_t latencies[BUCKETS];

/* The calls of one client: as many as --inflight says. */
static Call *calls_of(Client *c) { return calls_under_way + number_of(c) * (int)opt.inflight; }

static void send_call(Client *c, Call *call) {
    static uint32_t last_id;
    last_id = last_id % LARGEST_ID + 1; /* new for each call, so that an answer given twice is found out */
    *call = (Call){last_id, now};
    uint8_t *digit = call_frame.bytes + call_frame.size - strlen("\"}");
    uint32_t rest = last_id;
    for (int i = 0; i < ID_DIGITS; i++, rest /= 10) *--digit = (uint8_t)('0' + rest % 10);
    queue(call_frame.bytes, call_frame.size);
    sent++;
    if (!opt.batch) flush(c);
}

/* Returns the call that this answers, after a look that it is an answer and no refusal. */
static Call *answered_call(Client *c, const char *text, size_t size) {
    static const char NAME[] = "\"callbackId\":\"";
    if (memmem(text, size, "\"error\":", 8)) fail("client %d was refused: %.*s", number_of(c), (int)size, text);
    const char *at = memmem(text, size, NAME, sizeof NAME - 1);
    uint32_t id = at ? (uint32_t)atoi(at + sizeof NAME - 1) : 0; /* it ends at the closing quote at the latest */
    Call *call = calls_of(c), *end = call + (int)opt.inflight;
    while (call < end && call->id != id) call++;
    if (!id || call == end)
        fail("client %d received an answer to nothing it asks: %.*s", number_of(c), (int)size, text);
    return call;
}

static void take_answer(Client *c, const char *text, size_t size) {
    if (!memmem(text, size, "\"callbackId\"", 12)) return; /* an event of the server's own */
    Call *call = answered_call(c, text, size);
    double bucket = (now - call->asked_at) * 1e6 / BUCKET_US;
    latencies[bucket < BUCKETS ? (int)bucket : BUCKETS - 1]++;
    call->id = 0;
    received++;
    if (!draining) send_call(c, call);
}

/* Milliseconds that this share of the answers took at most. */
static double latency(double share, double answers) {
    double seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += latencies[bucket]) < share * answers) bucket++;
    return (bucket + 1) * (BUCKET_US / 1000.0);
}

static void start_calls(void) {
    calls_under_way = calloc((size_t)(opt.clients * opt.inflight), sizeof *calls_under_way);
    if (!calls_under_way) fail("out of memory");
    call_frame = text_frame("{\"event\":\"%s\",\"payload\":{\"msg\":\"hello\"},\"callbackId\":\"%0*d\"}", opt.event,
                            ID_DIGITS, 0);
    for (Client *c = clients; c < clients + opened; c++) {
        now = clock_seconds(CLOCK_MONOTONIC);
        for (int i = 0; i < (int)opt.inflight; i++) send_call(c, calls_of(c) + i);
        flush(c);
    }
}

static void calls(void) {
    open_clients((int)opt.clients);
    on_message = take_answer;
    start_calls();
    run_for(opt.warmup);
    memset(latencies, 0, sizeof latencies);
    Reading a = take_reading();
    run_for(opt.seconds);
    Reading b = take_reading();
    double answers = received_between(&a, &b), p50 = latency(0.50, answers), p99 = latency(0.99, answers);
    draining = true;
    run_until_received(sent);
    report(&a, &b, "answers", answers);
    printf(", \"inflight\": %d, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n", (int)opt.inflight, p50, p99);
}

/* ---- connect ---- */

static void connect_all(void) {
    Reading a = take_reading();
    open_clients((int)opt.clients);
    Reading b = take_reading();
    run_for(opt.hold);
    report(&a, &b, "connections", opt.clients);
    puts("}");
}

/* ---- idle ---- */

static Frame join_call;

static void join(Client *c) {
    (void)c; /* the reader flushes to the client it has just opened */
    queue(join_call.bytes, join_call.size);
    sent++;
}

static void take_join(Client *c, const char *text, size_t size) {
    if (!memmem(text, size, "\"callbackId\"", 12)) return;
    if (memmem(text, size, "\"error\":", 8)) fail("client %d may not join: %.*s", number_of(c), (int)size, text);
    received++;
}

/* Opens and joins clients, and lets the server come to rest. Returns its memory in bytes. */
static double rss_after_opening(int count) {
    open_clients(count);
    run_until_received((uint64_t)opened);
    run_for(1);
    return rss_of((int)opt.server_pid);
}

/* The first clients warm the server's allocator up and stay, so that the others show what one more costs. */
static void idle(void) {
    if (!opt.server_pid) fail("idle needs --server-pid");
    join_call = text_frame("{\"event\":\"%s\",\"payload\":{\"room_id\":\"1000\"},\"callbackId\":\"1\"}", opt.event);
    on_open = join;
    on_message = take_join;
    double before = rss_after_opening((int)opt.warm), after = rss_after_opening((int)opt.clients);
    printf("{\"clients\": %d, \"warm\": %d, \"rss_before\": %.0f, \"rss_after\": %.0f, \"bytes_per_client\": %.0f}\n",
           (int)opt.clients, (int)opt.warm, before, after, (after - before) / opt.clients);
}

/* ---- the command line ---- */

static const struct {
    const char *name, *event;
    void (*run)(void);
} MODES[] = {
    {"fanout", "publish", fanout},
    {"calls", "say", calls},
    {"connect", "", connect_all},
    {"idle", "join", idle},
};

static const struct {
    const char *name;
    double *number;
    const char **text;
} OPTIONS[] = {
    {"--host", .text = &opt.host},
    {"--path", .text = &opt.path},               /* %d is the client's number */
    {"--event", .text = &opt.event},             /* instead of the mode's own: publish, say, join */
    {"--port", .number = &opt.port},
    {"--clients", .number = &opt.clients},
    {"--inflight", .number = &opt.inflight},     /* messages under way: in all (fanout), of each client (calls) */
    {"--batch", .number = &opt.batch},           /* calls: 0 gives each a write of its own */
    {"--seconds", .number = &opt.seconds},       /* that are measured, */
    {"--warmup", .number = &opt.warmup},         /* after these, which are not */
    {"--hold", .number = &opt.hold},             /* connect: seconds to stay open */
    {"--half-open", .number = &opt.half_open},   /* connections under way at a time */
    {"--warm", .number = &opt.warm},             /* idle: clients that are opened before it measures */
    {"--server-pid", .number = &opt.server_pid}, /* tells what the server used */
    {"--deadline", .number = &opt.deadline},     /* seconds after which the run fails */
};

static void set_option(const char *name, const char *value) {
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        if (strcmp(name, OPTIONS[i].name) != 0) continue;
        if (!value) fail("%s wants a value", name);
        if (OPTIONS[i].text) {
            *OPTIONS[i].text = value;
        } else {
            char *end;
            *OPTIONS[i].number = strtod(value, &end);
            if (end == value || *end || !(*OPTIONS[i].number >= 0)) fail("%s wants a number, not %s", name, value);
        }
        return;
    }
    fail("there is no option %s", name);
}

static void check_options(void) {
    if (opt.port < 1 || opt.port > 65535) fail("--port wants a port");
    if (opt.clients < 1 || opt.half_open < 1) fail("--clients and --half-open want at least 1");
    if (opt.inflight < 1 || opt.inflight > MAX_INFLIGHT) fail("--inflight wants 1 to %d", MAX_INFLIGHT);
}

/* Makes room for the clients: their records, and as many open files as the system lets us have. */
static void prepare(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clients = calloc((size_t)(opt.clients + opt.warm), sizeof *clients);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || epoll_fd < 0) fail("cannot start: %s", strerror(errno));
    deadline = clock_seconds(CLOCK_MONOTONIC) + opt.deadline;
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof MODES / sizeof *MODES; i++) {
        if (strcmp(argv[1], MODES[i].name) != 0) continue;
        opt.event = MODES[i].event;
        for (int k = 2; k < argc; k += 2) set_option(argv[k], argv[k + 1]);
        check_options();
        prepare();
        MODES[i].run();
        say_goodbye();
        return 0;
    }
    fail("usage: loadgen fanout|calls|connect|idle --port P [--option value]...");
}
