/* The clients of the load generator: connect, upgrade, read, write. Included by loadgen.c alone.
 *
 * It must not be the bottleneck, so it does as little as it may: edge-triggered epoll, one read for all
 * frames that have arrived, one write for all that they cause, and client frames that are formatted once
 * (their mask key is zero, which is a valid mask and needs no xor).
 *
 * A mode sets the hooks on_open, on_message and on_read, and then lets turn() run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_EVENTS = 512,
    MAX_FRAME = 64 * 1024,    /* a server frame we are ready to hold, and what one client may send at once */
    READ_SIZE = 256 * 1024,
    PORTS_PER_ADDRESS = 4000, /* clients of one loopback source address, far below the port range */
    MAX_INFLIGHT = 64,        /* so that what one client has in flight always fits its socket's buffer */
    MAX_SERVERS = 16,         /* ports, and processes of the server side */
};

/* The options of the command line. Numbers are doubles, so that one function can read them all. */
static struct {
    const char *host, *path, *dialect, *event, *payload, *extensions, *ports, *server_pids;
    double clients, each, senders, inflight, batch, seconds, warmup, hold, half_open, warm, missed, deadline, size,
        members, tls, compressed, gate;
} opt = {
    .host = "127.0.0.1", .path = "", .dialect = "json", .payload = "{\"msg\":\"hello\"}", .extensions = "", .ports = "", .server_pids = "",
    .clients = 100, .inflight = 8, .batch = 1, .seconds = 5, .warmup = 1, .half_open = 256, .warm = 200, .missed = 100, .deadline = 60,
};

typedef struct {
    int items[MAX_SERVERS], count;
} Numbers;

typedef struct {
    int fd;
    enum { CONNECTING, SECURING, UPGRADING, UPGRADED, OPEN } state;
    uint32_t received;   /* messages, to see that everyone got as many */
    uint32_t carry_size;
    uint8_t *carry;      /* the beginning of a frame whose end has not arrived */
    void *tls;           /* NULL without --tls */
    struct Inflater *inflater; /* NULL if the server compresses nothing */
} Client;

typedef struct {
    uint8_t *bytes;
    size_t size;
} Frame;

static Numbers ports, server_pids; /* the nodes' ports; all processes of the server side, Redis included */
static Client *clients;
static int epoll_fd, started, opened;    /* clients that began to connect; that finished the upgrade */
static bool is_compressed;               /* whether the message being taken was */
static bool draining;                    /* what is in flight may still arrive, nothing new is sent */
static double now, deadline;             /* seconds of the monotonic clock */
static uint64_t sent, received;          /* messages of the mode under way */
static uint64_t received_bytes;          /* of all messages, as they were on the network */
static uint8_t outbox[MAX_FRAME];        /* frames of the client being served, until flush() */
static size_t outbox_size;

static int (*node_of)(int number); /* which port a client connects to; NULL for all by turns */
static void (*on_connected)(Client *);             /* NULL for the upgrade to a WebSocket */
static size_t (*take_next)(Client *, const uint8_t *, size_t); /* NULL for frames; returns the size of what it took */
static bool (*take_control)(Client *, const char *, size_t); /* of a dialect that opens in several steps, or NULL */
static void (*on_open)(Client *);
static void (*on_message)(Client *, const char *, size_t);
static void (*on_read)(void); /* after all messages of one read */

_Noreturn __attribute__((format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static int number_of(const Client *c) { return (int)(c - clients); }

static double clock_seconds(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#include "inflating.h"
#include "streams.h"

/* ---- sending ---- */

/* Formats a text, which the caller frees. */
__attribute__((format(printf, 1, 2))) static char *formatted(const char *format, ...) {
    char *text;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) fail("out of memory");
    va_end(arguments);
    return text;
}

/* Makes a masked text frame. */
static Frame text_frame(const char *text) {
    static const uint8_t ZERO_MASK[4];
    size_t size = strlen(text);
    if (size > MAX_FRAME - 8) fail("the message is too long: %s", text);
    uint8_t small[] = {0x81, (uint8_t)(0x80 | size)};
    uint8_t large[] = {0x81, 0x80 | 126, (uint8_t)(size >> 8), (uint8_t)size};
    size_t header = size > 125 ? sizeof large : sizeof small;
    Frame frame = {calloc(1, header + sizeof ZERO_MASK + size), header + sizeof ZERO_MASK + size};
    if (!frame.bytes) fail("out of memory");
    memcpy(frame.bytes, size > 125 ? large : small, header);
    memcpy(frame.bytes + header + sizeof ZERO_MASK, text, size);
    return frame;
}

static void queue(const void *bytes, size_t size) {
    if (size > sizeof outbox - outbox_size) fail("too many bytes to send in one turn");
    memcpy(outbox + outbox_size, bytes, size);
    outbox_size += size;
}

/* Sends what is queued. It always fits: what a client has in flight is less than a socket buffer. */
static void flush(Client *c) {
    if (!outbox_size) return;
    ssize_t n = transmit(c, outbox, outbox_size);
    if (n != (ssize_t)outbox_size)
        fail("client %d could not send: %s", number_of(c), n < 0 ? strerror(errno) : "its socket is full");
    outbox_size = 0;
}

static void queue_pong(const uint8_t *payload, size_t size) {
    uint8_t header[6] = {0x8A, (uint8_t)(0x80 | size)};
    queue(header, sizeof header);
    queue(payload, size);
}

/* Closes as a client should, so that the server does not take the end of a run for a thousand accidents. */
static void say_goodbye(void) {
    static const uint8_t CLOSE_1000[] = {0x88, 0x82, 0, 0, 0, 0, 1000 >> 8, 1000 & 0xFF};
    for (int i = 0; i < opened && !take_next; i++) transmit(&clients[i], CLOSE_1000, sizeof CLOSE_1000);
}

/* ---- opening ---- */

/* Spreads the clients of a loopback server over source addresses, or the ports of one would run out. */
static void bind_source(int fd, int number) {
    if (strncmp(opt.host, "127.", 4) != 0) return;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number / PORTS_PER_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) fail("cannot bind: %s", strerror(errno));
}

static uint16_t port_of(int number) {
    return (uint16_t)ports.items[node_of ? node_of(number) : number % ports.count];
}

static void start_client(int number) {
    Client *c = &clients[number];
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("client %d has no socket: %s", number, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    bind_source(c->fd, number);

    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port_of(number))};
    if (inet_pton(AF_INET, opt.host, &server.sin_addr) != 1) fail("--host wants an IPv4 address, not %s", opt.host);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        fail("client %d cannot connect: %s", number, strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void request_upgrade(Client *c) {
    const char *hole = strstr(opt.path, "%d"); /* where the client's number goes */
    int before = hole ? (int)(hole - opt.path) : (int)strlen(opt.path);
    char id[16] = "", request[1024];
    if (hole) snprintf(id, sizeof id, "%d", number_of(c));
    const char *offer = *opt.extensions ? "\r\nSec-WebSocket-Extensions: " : "";
    int size = snprintf(request, sizeof request,
                        "GET %.*s%s%s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13%s%s\r\n\r\n",
                        before, opt.path, id, hole ? hole + 2 : "", opt.host, port_of(number_of(c)), offer,
                        opt.extensions);
    if (size >= (int)sizeof request) fail("--path is too long");
    queue(request, (size_t)size);
    flush(c);
    c->state = UPGRADING;
}

static void begin(Client *c) {
    int error = 0;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error) fail("client %d cannot connect: %s", number_of(c), strerror(error));
    c->state = SECURING;
    if (opt.tls) c->tls = new_tls(c->fd);
}

static void secure(Client *c) {
    if (!c->tls || shake_hands(c->tls)) (on_connected ? on_connected : request_upgrade)(c);
}

static void finish_opening(Client *c) {
    c->state = OPEN;
    opened++;
    if (on_open) on_open(c);
}

/* Looks into the answer to the upgrade, whether the server may compress. */
static void expect_compression(Client *c, const char *head, size_t size) {
    static const char GRANTED[] = "permessage-deflate", FRESH[] = "server_no_context_takeover";
    if (!memmem(head, size, GRANTED, sizeof GRANTED - 1)) return;
    if (!*opt.extensions) fail("client %d was granted an extension that it did not offer", number_of(c));
    c->inflater = new_inflater(!memmem(head, size, FRESH, sizeof FRESH - 1));
}

/* Returns the size of the answer to the upgrade, 0 while it is not complete. */
static size_t finish_upgrade(Client *c, const uint8_t *bytes, size_t size) {
    static const char OK[] = "HTTP/1.1 101", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* for the key above */
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t used = (size_t)(end - bytes) + 4;
    if (used < sizeof OK || memcmp(bytes, OK, sizeof OK - 1) != 0 || !memmem(bytes, used, ACCEPT, sizeof ACCEPT - 1))
        fail("client %d was not upgraded: %.*s", number_of(c), (int)used, (const char *)bytes);
    expect_compression(c, (const char *)bytes, used);
    c->state = UPGRADED;
    if (!take_control) finish_opening(c);
    return used;
}

/* ---- receiving ---- */

static void take_text(Client *c, const char *text, size_t size) {
    if (!size) return; /* a heartbeat */
    if (take_control && take_control(c, text, size)) return;
    if (on_message) on_message(c, text, size);
}

/* Inflates a message, unless another client has had the same bytes as the message of this number, and they refer to
 * nothing before: a server that makes one frame for all clients spares us the work, too. */
static void take_compressed(Client *c, const char *bytes, size_t size) {
    static struct {
        uint8_t bytes[MAX_FRAME], text[MAX_FRAME];
        size_t size;
        ssize_t text_size;
    } inflated[MAX_INFLIGHT], *last;
    last = &inflated[c->received % MAX_INFLIGHT];
    if (c->inflater->keeps_context || size != last->size || memcmp(bytes, last->bytes, size) != 0) {
        last->text_size = inflate_message(c->inflater, (const uint8_t *)bytes, size, last->text, sizeof last->text);
        if (last->text_size < 0) fail("client %d received a message that can't be inflated", number_of(c));
        memcpy(last->bytes, bytes, size);
        last->size = c->inflater->keeps_context ? 0 : size;
    }
    take_text(c, (const char *)last->text, (size_t)last->text_size);
}

_Noreturn static void fail_closed(Client *c, const uint8_t *payload, size_t size) {
    int code = size < 2 ? 1005 : payload[0] << 8 | payload[1];
    int reason = size < 2 ? 0 : (int)size - 2;
    fail("the server closed client %d: code %d %.*s", number_of(c), code, reason, (const char *)payload + 2);
}

static void take_frame(Client *c, int opcode, const uint8_t *payload, size_t size) {
    received_bytes += size;
    switch (opcode) {
        case 0x1: (is_compressed ? take_compressed : take_text)(c, (const char *)payload, size); break;
        case 0x8: fail_closed(c, payload, size);
        case 0x9: queue_pong(payload, size); break;
        case 0xA: break;
        default: fail("client %d received a frame with opcode %d", number_of(c), opcode);
    }
}

/* Takes the frame at the front of the bytes. Returns its size, 0 while it is not complete. */
static size_t next_frame(Client *c, const uint8_t *bytes, size_t size) {
    if (size < 2) return 0;
    size_t header = 2, payload = bytes[1];
    is_compressed = (bytes[0] & 0x40) && c->inflater;
    if ((bytes[0] & 0xF0) != (is_compressed ? 0xC0 : 0x80) || payload > 126)
        fail("client %d received a fragment, a reserved bit, a mask or a huge frame", number_of(c));
    if (payload == 126) {
        header = 4;
        if (size < header) return 0;
        payload = (size_t)(bytes[2] << 8 | bytes[3]);
    }
    if (size < header + payload) return 0;
    take_frame(c, bytes[0] & 0x0F, bytes + header, payload);
    return header + payload;
}

static void keep_carry(Client *c, const uint8_t *bytes, size_t size) {
    if (size > MAX_FRAME + 4) fail("client %d was answered with too long a header", number_of(c));
    if (size > c->carry_size && !(c->carry = realloc(c->carry, size))) fail("out of memory");
    if (size) memcpy(c->carry, bytes, size);
    c->carry_size = (uint32_t)size;
}

/* Reads once and takes all that is complete. Returns whether there may be more to read: a read that
 * does not fill the buffer has emptied the socket, which spares the call that would say EAGAIN. */
static bool read_once(Client *c) {
    static uint8_t buffer[MAX_FRAME + 4 + READ_SIZE];
    size_t size = c->carry_size, used = 0, step;
    if (size) memcpy(buffer, c->carry, size);
    ssize_t n = receive(c, buffer + size, READ_SIZE);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) fail("client %d lost its connection: %s", number_of(c), n ? strerror(errno) : "end of stream");
    now = clock_seconds(CLOCK_MONOTONIC);
    size += (size_t)n;
    if (c->state == UPGRADING) used = finish_upgrade(c, buffer, size);
    if (c->state >= UPGRADED)
        while ((step = (take_next ? take_next : next_frame)(c, buffer + used, size - used))) used += step;
    keep_carry(c, buffer + used, size - used);
    flush(c);
    if (on_read) on_read();
    return n == READ_SIZE;
}

static void serve(Client *c, uint32_t events) {
    if (c->state == CONNECTING) begin(c);
    if (c->state == SECURING) secure(c);
    if (c->state == SECURING) return;
    if (!(events & ~(uint32_t)EPOLLOUT)) return;
    bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR); /* then read on until the end shows itself */
    while (read_once(c) || ended) {}
}

/* ---- running ---- */

static void turn(void) {
    static struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(epoll_fd, events, MAX_EVENTS, 10);
    now = clock_seconds(CLOCK_MONOTONIC);
    if (now > deadline)
        fail("the deadline of %g s has passed: %d clients open of %d, %llu messages sent, %llu received", opt.deadline,
             opened, (int)opt.clients, (unsigned long long)sent, (unsigned long long)received);
    for (int i = 0; i < n; i++) serve(events[i].data.ptr, events[i].events);
}

static void run_for(double seconds) {
    now = clock_seconds(CLOCK_MONOTONIC);
    for (double end = now + seconds; now < end;) turn();
}

static void run_until_received(uint64_t count) {
    while (received < count) turn();
}

static void open_clients(int count) {
    for (int end = opened + count; opened < end; turn())
        while (started < end && started - opened < opt.half_open) start_client(started++);
}
