/* A WebSocket load generator for one core: `loadgen MODE --port P[,P...] ...`, where MODE is
 *
 *   fanout   client 0 publishes, every client receives: deliveries a second
 *   room     the same in a room, which every client joins before
 *   rooms    the same in many rooms of --members clients each
 *   calls    every client keeps calls in flight: answers a second
 *   tell     users tell users on the next node: messages a second
 *   connect  every client connects and upgrades: seconds until all are open
 *   idle     what an open, joined connection costs the server in memory
 *   recovery clients come back to a room that has kept what they missed: seconds until all have everything
 *   http     every client keeps HTTP requests in flight: responses a second
 *
 * Those that have a duration tell p50_ms and p99_ms, too: what a delivery, an answer or a message took.
 * It prints one line of JSON, or says on stderr what went wrong and exits with 1. Whatever is not what
 * the server should do is a failure: a lost connection, a Close, a refusal, a message too many or too few.
 *
 * With the headers of OpenSSL it can do --tls, with those of zlib --extensions permessage-deflate.
 *
 * Build: cc -O2 -o loadgen loadgen.c -lz -lssl -lcrypto
 */
#define _GNU_SOURCE
#include "clients.h"
#include "texts.h"
#include "usage.h"

#include "dialects.h"
#include "latencies.h"

#include "calls.h"
#include "opening.h"

#include "fanout.h"
#include "recovery.h"
#include "requests.h"
#include "rooms.h"
#include "tell.h"

#include <sys/resource.h>

static const struct {
    const char *name, *event;
    void (*run)(void);
} MODES[] = {
    {"fanout", "publish", fanout},
    {"calls", "say", calls},
    {"tell", "tell", tell},
    {"connect", "", connect_all},
    {"idle", "", idle},
    {"recovery", "publish_room", recovery},
    {"room", "publish_room", fanout_in_room},
    {"rooms", "publish_room", rooms},
    {"http", "", requests},
};

static const struct {
    const char *name;
    double *number;
    const char **text;
} OPTIONS[] = {
    {"--host", .text = &opt.host},
    {"--path", .text = &opt.path},               /* %d is the client's number; instead of the dialect's */
    {"--dialect", .text = &opt.dialect},         /* that the server speaks: dialects.h */
    {"--event", .text = &opt.event},             /* instead of the mode's own: publish, say, tell, publish_room */
    {"--payload", .text = &opt.payload},         /* calls: JSON */
    {"--extensions", .text = &opt.extensions},   /* that are offered: permessage-deflate */
    {"--port", .text = &opt.ports},              /* of the server, or of several nodes: 9000,9001 */
    {"--clients", .number = &opt.clients},       /* in all, */
    {"--each", .number = &opt.each},             /* or of each port */
    {"--members", .number = &opt.members},       /* rooms: clients of a room */
    {"--senders", .number = &opt.senders},       /* tell: nodes that have senders; 0 for all */
    {"--inflight", .number = &opt.inflight},     /* messages under way: in all (fanout, room, rooms), of each client (calls, tell, http) */
    {"--batch", .number = &opt.batch},           /* calls, tell: 0 gives each a write of its own */
    {"--size", .number = &opt.size},             /* fanout, room, rooms, tell: bytes of {"text":"..."} */
    {"--tls", .number = &opt.tls},               /* 1 to connect by TLS */
    {"--compressed", .number = &opt.compressed}, /* fanout, room: 1 to fail if a message comes uncompressed */
    {"--gate", .number = &opt.gate},             /* 1 to print READY before, and to wait for a line: others begin then, too */
    {"--seconds", .number = &opt.seconds},       /* that are measured, */
    {"--warmup", .number = &opt.warmup},         /* after these, which are not */
    {"--hold", .number = &opt.hold},             /* connect: seconds to stay open */
    {"--half-open", .number = &opt.half_open},   /* connections under way at a time */
    {"--missed", .number = &opt.missed},         /* recovery: messages that each client missed */
    {"--warm", .number = &opt.warm},             /* idle: clients that are opened before it measures */
    {"--server-pid", .text = &opt.server_pids},  /* tells what the server used, all its processes together: 7,8 */
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

static Numbers read_list(const char *name, const char *list) {
    Numbers numbers = {0};
    for (char *end = ""; *list; list = *end ? end + 1 : end) {
        long number = strtol(list, &end, 10);
        if (end == list || number < 1 || (*end && *end != ',') || numbers.count == MAX_SERVERS)
            fail("%s wants numbers and commas, at most %d, not %s", name, MAX_SERVERS, list);
        numbers.items[numbers.count++] = (int)number;
    }
    return numbers;
}

static void check_options(void) {
    choose_dialect(opt.dialect);
    ports = read_list("--port", opt.ports);
    server_pids = read_list("--server-pid", opt.server_pids);
    if (opt.each) opt.clients = opt.each * ports.count;
    for (int i = 0; i < ports.count; i++)
        if (ports.items[i] > 65535) fail("--port wants ports, not %s", opt.ports);
    if (!ports.count) fail("--port is missing");
    if (opt.senders > ports.count) fail("--senders wants as many as there are ports at most");
    if (opt.clients < 1 || opt.half_open < 1) fail("--clients and --half-open want at least 1");
    int most = opt.members ? (int)(opt.clients / opt.members) : MAX_INFLIGHT;
    if (opt.inflight < 1 || opt.inflight > most) fail("--inflight wants 1 to %d", most);
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
    fail("usage: loadgen fanout|room|rooms|calls|tell|connect|idle|recovery|http --port P [--option value]...");
}
