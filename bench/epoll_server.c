/* The yardstick: what a WebSocket server on one core can do when it is nothing but an epoll loop.
 *
 * It does the job of peers/adapters/crosswire_node.py alone, and no more: a text frame that contains "publish" is
 * broadcast to every client as the event "news"; one with a callbackId is answered. It reads all that has
 * arrived at once, and the frames that arise for a connection in one turn of the loop leave in one send().
 * Nothing is validated but what keeps it alive: no UTF-8 check, no JSON parser, no fragments.
 *
 * It prints "PORT n" when it listens and runs until SIGTERM.
 *
 * Build: cc -O2 -o epoll_server epoll_server.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    MAX_EVENTS = 512,
    MAX_FRAME = 64 * 1024,    /* of a client, and of what we answer */
    MAX_OUTBOX = 1024 * 1024, /* a client that leaves so much unread is cut off */
    READ_SIZE = 256 * 1024,
};

typedef struct {
    uint8_t *bytes;
    size_t size, capacity;
} Buffer;

typedef struct {
    int fd;
    int place;         /* in connections[] */
    bool upgraded, dead;
    bool dirty;        /* is in the list of those to flush at the end of this turn */
    Buffer carry;      /* what is left of the last read: the beginning of a frame */
    Buffer outbox;     /* what is still to be sent */
} Connection;

static Connection **connections, **dirty;
static int connection_count, connection_room, dirty_count;
static int epoll_fd, listener;

_Noreturn static void die(const char *what) {
    perror(what);
    exit(1);
}

static void append(Buffer *b, const void *bytes, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = (b->size + size) * 2;
        if (!(b->bytes = realloc(b->bytes, b->capacity))) die("realloc");
    }
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

/* ---- connections ---- */

static void mark_dirty(Connection *c) {
    if (c->dirty) return;
    c->dirty = true;
    dirty[dirty_count++] = c;
}

/* Its end waits for the end of the turn: until then others may still point to it. */
static void kill_connection(Connection *c) {
    c->dead = true;
    mark_dirty(c);
}

static void make_room_for_connections(void) {
    if (connection_count < connection_room) return;
    connection_room = connection_room ? connection_room * 2 : 1024;
    size_t size = (size_t)connection_room * sizeof(Connection *);
    if (!(connections = realloc(connections, size)) || !(dirty = realloc(dirty, size))) die("realloc");
}

static void add_connection(int fd) {
    make_room_for_connections();
    Connection *c = calloc(1, sizeof *c);
    if (!c) die("calloc");
    c->fd = fd;
    c->place = connection_count;
    connections[connection_count++] = c;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void remove_connection(Connection *c) {
    Connection *last = connections[--connection_count];
    connections[c->place] = last;
    last->place = c->place;
    close(c->fd);
    free(c->carry.bytes);
    free(c->outbox.bytes);
    free(c);
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) add_connection(fd);
    if (errno != EAGAIN && errno != ECONNABORTED) perror("accept");
}

/* Sends what is in the outbox. What the socket does not take waits for the EPOLLOUT that follows. */
static void flush(Connection *c) {
    ssize_t n = send(c->fd, c->outbox.bytes, c->outbox.size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) kill_connection(c);
    if (n > 0) {
        c->outbox.size -= (size_t)n;
        memmove(c->outbox.bytes, c->outbox.bytes + n, c->outbox.size);
    }
    if (c->outbox.size > MAX_OUTBOX) kill_connection(c);
}

/* The end of a turn: one send() for each connection for which something arose. */
static void flush_all(void) {
    for (int i = 0; i < dirty_count; i++) {
        Connection *c = dirty[i];
        if (!c->dead && c->outbox.size) flush(c);
        c->dirty = false;
        if (c->dead) remove_connection(c);
    }
    dirty_count = 0;
}

/* ---- the opening handshake ---- */

static uint32_t rotate(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

/* One 64-byte block of SHA-1, as in FIPS 180-4. */
static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[i * 4] << 24 | (uint32_t)block[i * 4 + 1] << 16 | (uint32_t)block[i * 4 + 2] << 8 |
               block[i * 4 + 3];
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mix = i < 20 ? ((b & c) | (~b & d)) + 0x5A827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                              : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = rotate(a, 5) + mix + e + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* The SHA-1 of a text shorter than 120 bytes, which fits two blocks with its padding. */
static void sha1(const char *text, size_t size, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t blocks[128] = {0};
    size_t total = size < 56 ? 64 : 128;
    memcpy(blocks, text, size);
    blocks[size] = 0x80;
    blocks[total - 2] = (uint8_t)(size * 8 >> 8);
    blocks[total - 1] = (uint8_t)(size * 8);
    for (size_t at = 0; at < total; at += 64) sha1_block(state, blocks + at);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

/* The base64 of a SHA-1: 28 characters, the last of which is padding. */
static void base64_of_digest(const uint8_t digest[20], char text[29]) {
    static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 27; i++) {
        int bit = i * 6, byte = bit / 8;
        int pair = digest[byte] << 8 | (byte < 19 ? digest[byte + 1] : 0);
        text[i] = ALPHABET[pair >> (10 - bit % 8) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

static void answer_upgrade(Connection *c, const char *key, size_t key_size) {
    char text[64 + 37], accept[29], answer[256];
    uint8_t digest[20];
    int size = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key_size, key);
    sha1(text, (size_t)size, digest);
    base64_of_digest(digest, accept);
    size = snprintf(answer, sizeof answer,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    append(&c->outbox, answer, (size_t)size);
    mark_dirty(c);
    c->upgraded = true;
}

/* Returns the size of the request, 0 while it is not complete. */
static size_t take_upgrade(Connection *c, const uint8_t *bytes, size_t size) {
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end) return 0;
    static const char NAME[] = "\r\nSec-WebSocket-Key:";
    for (const uint8_t *at = bytes; at + sizeof NAME < end; at++) {
        if (strncasecmp((const char *)at, NAME, sizeof NAME - 1) != 0) continue;
        const char *key = (const char *)at + sizeof NAME - 1;
        key += strspn(key, " ");
        size_t key_size = strcspn(key, " \r\n");
        if (key_size > 64) break;
        answer_upgrade(c, key, key_size);
        return (size_t)(end - bytes) + 4;
    }
    kill_connection(c);
    return 0;
}

/* ---- messages ---- */

static size_t frame_header(uint8_t header[4], int opcode, size_t size) {
    header[0] = (uint8_t)(0x80 | opcode);
    header[1] = (uint8_t)(size < 126 ? size : 126);
    header[2] = (uint8_t)(size >> 8);
    header[3] = (uint8_t)size;
    return size < 126 ? 2 : 4;
}

static void queue_frame(Connection *c, int opcode, const void *payload, size_t size) {
    uint8_t header[4];
    append(&c->outbox, header, frame_header(header, opcode, size));
    append(&c->outbox, payload, size);
    mark_dirty(c);
}

/* Returns where the value after a name such as "payload": begins, NULL if there is none. */
static const char *value_of(const char *name, const char *text, size_t size) {
    const char *at = memmem(text, size, name, strlen(name));
    return at ? at + strlen(name) : NULL;
}

/* {"event":"publish","payload":P} goes to everyone as {"event":"news","payload":P}: one frame, made once. */
static void broadcast(const char *text, size_t size) {
    static uint8_t room[4 + MAX_FRAME + 32]; /* the header goes right before the text, whatever its size */
    const char *payload = value_of("\"payload\":", text, size);
    if (!payload) return;
    int news = snprintf((char *)room + 4, sizeof room - 4, "{\"event\":\"news\",\"payload\":%.*s",
                        (int)(text + size - payload), payload);
    uint8_t header[4];
    size_t header_size = frame_header(header, 0x1, (size_t)news);
    uint8_t *frame = memcpy(room + 4 - header_size, header, header_size);
    for (int i = 0; i < connection_count; i++) {
        if (!connections[i]->upgraded) continue;
        append(&connections[i]->outbox, frame, header_size + (size_t)news);
        mark_dirty(connections[i]);
    }
}

static void answer_call(Connection *c, const char *id, const char *end) {
    char answer[192];
    const char *quote = memchr(id, '"', (size_t)(end - id));
    if (!quote || quote - id > 64) return;
    int size = snprintf(answer, sizeof answer,
                        "{\"payload\":{\"msg\":\"I am a reply to your say event\"},\"callbackId\":\"%.*s\"}",
                        (int)(quote - id), id);
    queue_frame(c, 0x1, answer, (size_t)size);
}

static void take_text(Connection *c, const char *text, size_t size) {
    const char *id = value_of("\"callbackId\":\"", text, size);
    if (id) answer_call(c, id, text + size);
    else if (value_of("\"publish\"", text, size)) broadcast(text, size);
}

static void take_frame(Connection *c, int opcode, const uint8_t *payload, size_t size) {
    if (opcode == 0x1) take_text(c, (const char *)payload, size);
    else if (opcode == 0x9) queue_frame(c, 0xA, payload, size);
    else if (opcode != 0xA) kill_connection(c);
}

/* Takes the frame at the front of the bytes, unmasked in place. Returns its size, 0 while it is not complete. */
static size_t next_frame(Connection *c, uint8_t *bytes, size_t size) {
    if (size < 6 || c->dead) return 0;
    size_t header = 2, payload = bytes[1] & 0x7F;
    if ((bytes[0] & 0xF0) != 0x80 || !(bytes[1] & 0x80) || payload == 127) return kill_connection(c), 0;
    if (payload == 126) header = 4, payload = (size_t)(bytes[2] << 8 | bytes[3]);
    if (size < header + 4 + payload) return 0;
    const uint8_t *mask = bytes + header;
    uint8_t *text = bytes + header + 4;
    for (size_t i = 0; i < payload; i++) text[i] ^= mask[i & 3];
    take_frame(c, bytes[0] & 0x0F, text, payload);
    return header + 4 + payload;
}

/* ---- the loop ---- */

/* Reads once and takes all that is complete. Returns whether there may be more: a read that does not
 * fill the buffer has emptied the socket. */
static bool read_once(Connection *c) {
    static uint8_t buffer[MAX_FRAME + 16 + READ_SIZE];
    size_t size = c->carry.size, used = 0, step;
    if (size) memcpy(buffer, c->carry.bytes, size);
    ssize_t n = recv(c->fd, buffer + size, READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) return kill_connection(c), false;
    size += (size_t)n;
    if (!c->upgraded) used = take_upgrade(c, buffer, size);
    if (c->upgraded)
        while ((step = next_frame(c, buffer + used, size - used))) used += step;
    c->carry.size = 0;
    if (size > used) append(&c->carry, buffer + used, size - used);
    if (c->carry.size > MAX_FRAME + 8) kill_connection(c);
    return n == READ_SIZE && !c->dead;
}

static void serve(Connection *c, uint32_t events) {
    bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    while (read_once(c) || (ended && !c->dead)) {}
    if (events & EPOLLOUT && c->outbox.size) mark_dirty(c);
}

static void run(void) {
    static struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
            else accept_all();
        }
        flush_all();
    }
}

static void listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, BACKLOG) < 0) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &(socklen_t){sizeof address});
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listen_on(argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0);
    run();
}
