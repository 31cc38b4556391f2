/* What the processes used between two readings. Included by loadgen.c alone. */
#include <sched.h>

/* ---- what the system says of a process and of a core ---- */

/* Reads a file of /proc, or as much of it as fits. */
static void read_proc(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) fail("cannot read %s: %s", path, strerror(errno));
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

static void read_proc_of(int pid, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    read_proc(path, text, size);
}

/* Seconds of CPU it has used so far; to the nanosecond, where /proc/PID/stat counts in hundredths. */
static double cpu_of(int pid) {
    clockid_t id;
    int error = clock_getcpuclockid(pid, &id);
    if (error) fail("cannot tell the CPU of process %d: %s", pid, strerror(error));
    return clock_seconds(id);
}

/* The first core that it may run on: the bench gives it no other. */
static int core_of(int pid) {
    cpu_set_t allowed;
    if (sched_getaffinity(pid, sizeof allowed, &allowed) < 0) fail("where runs %d? %s", pid, strerror(errno));
    int core = 0;
    while (!CPU_ISSET(core, &allowed)) core++;
    return core;
}

/* Seconds that a core had nothing to do so far. */
static double idle_of(int core) {
    char text[256 * 1024], name[16];
    unsigned long long idle, blocked;
    read_proc("/proc/stat", text, sizeof text);
    snprintf(name, sizeof name, "\ncpu%d ", core);
    const char *line = strstr(text, name);
    if (!line || sscanf(line + strlen(name), "%*u %*u %*u %llu %llu", &idle, &blocked) != 2)
        fail("/proc/stat does not tell of core %d", core);
    return (double)(idle + blocked) / (double)sysconf(_SC_CLK_TCK);
}

static double rss_of(int pid) {
    char text[4096];
    read_proc_of(pid, "status", text, sizeof text);
    const char *line = strstr(text, "VmRSS:");
    if (!line) fail("process %d has no VmRSS", pid);
    return atof(line + strlen("VmRSS:")) * 1024;
}

/* ---- measuring ---- */

typedef struct {
    double cpu, idle; /* of the processes of one side; of their core */
} Usage;

typedef struct {
    double time;
    uint64_t received, bytes;
    Usage own, server; /* zeros for a server whose pids we were not told */
    double cpu_of_server[MAX_SERVERS];
} Reading;

static Reading take_reading(void) {
    Reading r = {.time = clock_seconds(CLOCK_MONOTONIC), .received = received, .bytes = received_bytes};
    r.own = (Usage){cpu_of(getpid()), idle_of(core_of(getpid()))};
    for (int i = 0; i < server_pids.count; i++) r.server.cpu += r.cpu_of_server[i] = cpu_of(server_pids.items[i]);
    if (server_pids.count) r.server.idle = idle_of(core_of(server_pids.items[0]));
    return r;
}

/* Prints which shares of the time one side worked, and others had its core: those in which it neither worked nor
 * was idle. What the processes of a server wait for each other is therefore not among them. */
static void report_usage(const char *who, const Usage *a, const Usage *b, double seconds) {
    double busy = (b->cpu - a->cpu) / seconds, others = 1 - busy - (b->idle - a->idle) / seconds;
    printf(", \"%s_busy\": %.3f, \"%s_others\": %.3f", who, busy, who, others > 0 ? others : 0.0);
}

/* Prints what one delivery, answer or connection cost all processes of the server, and each of several. */
static void report_cpu(const Reading *a, const Reading *b, double count) {
    printf(", \"cpu_us\": %.3f", (b->server.cpu - a->server.cpu) * 1e6 / count);
    for (int i = 0; server_pids.count > 1 && i < server_pids.count; i++)
        printf(", \"cpu_us_%d\": %.3f", i + 1, (b->cpu_of_server[i] - a->cpu_of_server[i]) * 1e6 / count);
}

/* Prints what every mode tells of the time between two readings: the beginning of the JSON line. */
static void report(const Reading *a, const Reading *b, const char *unit, double count) {
    double seconds = b->time - a->time;
    printf("{\"clients\": %d, \"seconds\": %.4f, \"%s\": %.0f, \"per_second\": %.1f", (int)opt.clients, seconds, unit,
           count, count / seconds);
    report_usage("generator", &a->own, &b->own, seconds);
    if (!server_pids.count) return;
    report_usage("server", &a->server, &b->server, seconds);
    report_cpu(a, b, count);
}

/* Sees that the server did something at all between two readings. Returns how much. */
static double received_between(const Reading *a, const Reading *b) {
    if (a->received == b->received) fail("nothing was received in %g s", opt.seconds);
    return (double)(b->received - a->received);
}

/* The bytes of a message on the network, on average: compressed if it was. */
static double bytes_between(const Reading *a, const Reading *b) {
    return (double)(b->bytes - a->bytes) / (double)(b->received - a->received);
}
