/* A right server in C: one poll loop, and for each client what it has said and what it is to be sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEOPLE 200
#define LONGEST 4096

struct person {
    int fd, too_long;
    char name[LONGEST], in[LONGEST];
    size_t have, from, to, room; /* to send: out[from] to out[to - 1] */
    char *out;
};
static struct person *people[PEOPLE];
static int count;

static void tell(struct person *who, const char *text, size_t size) {
    if (who->to + size + 1 > who->room) {
        memmove(who->out, who->out + who->from, who->to - who->from);
        who->to -= who->from;
        who->from = 0;
        while (who->to + size + 1 > who->room) who->room = 2 * who->room + 4096;
        who->out = realloc(who->out, who->room);
    }
    memcpy(who->out + who->to, text, size);
    who->to += size;
    who->out[who->to++] = '\n';
}

static void tell_others(struct person *me, const char *text, size_t size) {
    for (int i = 0; i < count; i++)
        if (people[i] != me && people[i]->name[0]) tell(people[i], text, size);
}

static void clean(char *text, size_t size) {
    unsigned char *t = (unsigned char *)text;
    for (size_t i = 0; i < size; i++) {
        if (t[i] < 32 || t[i] == 127) t[i] = '?';
        if (i + 2 < size && t[i] == 0xe2 &&
            ((t[i + 1] == 0x80 && t[i + 2] >= 0xa8 && t[i + 2] <= 0xae) || (t[i + 1] == 0x81 && t[i + 2] >= 0xa6)))
            t[i] = t[i + 1] = t[i + 2] = '?';
    }
}

static void name_it(struct person *me, char *text, size_t size) {
    char line[LONGEST + 32];
    while (size && text[size - 1] == ' ') size--;
    while (size && *text == ' ') text++, size--;
    int taken = size == 0;
    for (int i = 0; i < count; i++)
        taken |= strlen(people[i]->name) == size && !memcmp(people[i]->name, text, size);
    if (taken) {
        tell(me, "! not that one", 14);
        tell(me, "nickname", 8);
        return;
    }
    tell_others(me, line, sprintf(line, "* %.*s joined", (int)size, text));
    memcpy(me->name, text, size);
}

static void hear(struct person *me, char *text, size_t size) {
    static char line[2 * LONGEST + 8];
    if (size && text[size - 1] == '\r') size--;
    clean(text, size);
    if (!me->name[0]) {
        name_it(me, text, size);
    } else if (size) {
        int before = sprintf(line, "%s: ", me->name);
        memcpy(line + before, text, size);
        tell_others(me, line, before + size);
    }
}

static void leave(int i, const char *how) {
    struct person *me = people[i];
    char line[LONGEST + 32];
    people[i] = people[--count];
    if (me->name[0]) tell_others(me, line, sprintf(line, "* %s left (%s)", me->name, how));
    close(me->fd);
    free(me->out);
    free(me);
}

static int listen_to(int i) { /* 0: it is gone */
    struct person *me = people[i];
    ssize_t got = recv(me->fd, me->in + me->have, sizeof me->in - me->have, 0);
    if (got == 0) return leave(i, "hung up"), 0;
    if (got < 0) return errno == EAGAIN ? 1 : (leave(i, "vanished"), 0);
    me->have += got;
    char *start = me->in, *end;
    while ((end = memchr(start, '\n', me->in + me->have - start))) {
        if (me->too_long) tell(me, "! too long", 10);
        else hear(me, start, end - start);
        me->too_long = 0;
        start = end + 1;
    }
    me->have -= start - me->in;
    memmove(me->in, start, me->have);
    if (me->have == sizeof me->in) me->have = 0, me->too_long = 1;
    return 1;
}

static int send_to(int i) { /* 0: it is gone */
    struct person *me = people[i];
    ssize_t sent = send(me->fd, me->out + me->from, me->to - me->from, 0);
    if (sent < 0) return errno == EAGAIN ? 1 : (leave(i, "vanished"), 0);
    me->from += sent;
    return 1;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("PORT")))};
    int door = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    signal(SIGPIPE, SIG_IGN);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door, (struct sockaddr *)&address, sizeof address) || listen(door, 100)) return perror("bind"), 1;
    for (;;) {
        struct pollfd polled[PEOPLE + 1];
        for (int i = 0; i < count; i++) {
            struct person *who = people[i];
            polled[i] = (struct pollfd){who->fd, POLLIN | (who->to > who->from ? POLLOUT : 0), 0};
        }
        polled[count] = (struct pollfd){count < PEOPLE ? door : -1, POLLIN, 0};
        poll(polled, count + 1, -1);
        int newcomer = polled[count].revents;
        for (int i = count - 1; i >= 0; i--) { /* the last takes the place of one who leaves */
            if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) && !listen_to(i)) continue;
            if (polled[i].revents & POLLOUT) send_to(i);
        }
        if (newcomer) {
            struct person *who = calloc(1, sizeof *who);
            if ((who->fd = accept(door, NULL, NULL)) < 0) {
                free(who);
                continue;
            }
            fcntl(who->fd, F_SETFL, O_NONBLOCK);
            setsockopt(who->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            people[count++] = who;
            tell(who, "nickname", 8);
        }
    }
}
