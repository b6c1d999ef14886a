/*
 * network BYTES_PER_SECOND DELAY_MICROSECONDS NAMESPACE...: a switch between network namespaces of this machine.
 *
 * Each namespace gets a device "weft0"; packets to address 10.83.0.(i + 1) leave through the port of namespace i. A
 * port passes BYTES_PER_SECOND and everything arrives DELAY_MICROSECONDS later. In user space, because kernels that can
 * shape the rate of a link often cannot delay it. Prints "ready" when the devices exist; at SIGTERM, the bytes that
 * each port passed. Needs root and Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PORTS = 16, QUEUE = 256, PACKET = 65536, DESTINATION = 16 /* of the address in an IPv4 header */ };

typedef struct packet {
    int64_t due; /* nanoseconds */
    size_t bytes;
    unsigned char data[PACKET];
} packet;

/* What waits to arrive at one namespace, in a ring. */
typedef struct port {
    int device;
    int64_t free; /* when its line has sent what it has */
    size_t first, count;
    uint64_t passed; /* bytes */
    packet *queue;   /* (QUEUE) */
} port;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Opens the device of a namespace; it stays there when this process goes on to the next. */
static int open_device(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0) return -1;
    close(space);
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    memcpy(request.ifr_name, "weft0", sizeof "weft0");
    if (device < 0 || ioctl(device, TUNSETIFF, &request) != 0) return -1;
    return device;
}

/* Puts what has come from a namespace into the ring of the port it goes to; a full ring drops it, as a switch does. */
static void take(port *ports, int count, int from, int64_t rate, int64_t delay)
{
    static unsigned char data[PACKET];
    ssize_t bytes;
    while ((bytes = read(ports[from].device, data, sizeof data)) > 0) {
        if (bytes <= DESTINATION + 3 || data[0] >> 4 != 4) continue;
        int to = data[DESTINATION + 3] - 1;
        if (to < 0 || to >= count || ports[to].count == QUEUE) continue;
        port *out = &ports[to];
        int64_t time = now();
        out->free = (out->free > time ? out->free : time) + (int64_t)bytes * 1000000000 / rate;
        packet *kept = &out->queue[(out->first + out->count++) % QUEUE];
        kept->due = out->free + delay;
        kept->bytes = (size_t)bytes;
        memcpy(kept->data, data, (size_t)bytes);
    }
}

/* Hands over what is due; the time of the next one, or INT64_MAX. */
static int64_t deliver(port *out)
{
    while (out->count > 0) {
        packet *kept = &out->queue[out->first];
        if (kept->due > now()) return kept->due;
        if (write(out->device, kept->data, kept->bytes) == (ssize_t)kept->bytes) out->passed += kept->bytes;
        out->first = (out->first + 1) % QUEUE;
        out->count--;
    }
    return INT64_MAX;
}

static void run(port *ports, int count, int64_t rate, int64_t delay, const sigset_t *awake)
{
    struct pollfd waits[PORTS];
    for (int i = 0; i < count; i++) waits[i] = (struct pollfd){.fd = ports[i].device, .events = POLLIN};
    while (!stopped) {
        int64_t next = INT64_MAX;
        for (int i = 0; i < count; i++) take(ports, count, i, rate, delay);
        for (int i = 0; i < count; i++) {
            int64_t due = deliver(&ports[i]);
            if (due < next) next = due;
        }
        int64_t left = next == INT64_MAX ? 1000000000 : next - now();
        if (left < 0) left = 0;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
        if (ppoll(waits, (nfds_t)count, &wait, awake) < 0 && errno != EINTR) return;
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "network: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    static port ports[PORTS];
    if (argc < 4 || argc - 3 > PORTS) {
        fprintf(stderr, "usage: network BYTES_PER_SECOND DELAY_MICROSECONDS NAMESPACE...\n");
        return 2;
    }
    int count = argc - 3;
    int64_t rate = atoll(argv[1]), delay = atoll(argv[2]) * 1000;
    if (rate < 1 || delay < 0) return fail("rate and delay must be numbers from 1 and 0 up");
    for (int i = 0; i < count; i++) {
        ports[i].device = open_device(argv[3 + i]);
        if (ports[i].device < 0) return fail(argv[3 + i]);
        ports[i].queue = malloc(QUEUE * sizeof *ports[i].queue);
        if (!ports[i].queue) return fail("memory");
    }
    sigset_t blocked, awake;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &awake);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    printf("ready\n");
    fflush(stdout);
    run(ports, count, rate, delay, &awake);
    for (int i = 0; i < count; i++) {
        printf("%s %llu\n", argv[3 + i], (unsigned long long)ports[i].passed);
        free(ports[i].queue);
        close(ports[i].device);
    }
    return 0;
}
