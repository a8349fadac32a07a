/* The floor: about the least that a chat server can do, in C.
 *
 *     cc -O2 -o floor floor.c && ./floor 14901        (port 0 takes a free one)
 *
 * One thread, and one epoll(7), which tells what sockets have something for it. Each time it wakes, it first
 * reads once from each client that has said something, and puts its lines, with its nickname before them,
 * into the outbox of every other. Then each outbox that holds something costs one send(2), however many lines
 * came together in it.
 *
 * It is here to be measured against: no rooms, commands, notices or limits; any nickname will do, and an outbox
 * grows as long as its client does not read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 65536, EVENTS = 1024, NAME = 64, BACKLOG = 1024 };

struct bytes {
    char *at;
    size_t size, room; /* bytes that it holds, and could hold */
};

struct client {
    int fd;
    size_t place;             /* in `clients` */
    char name[NAME];          /* "alice: ", as it stands before each line */
    size_t name_size;         /* 0: it has not given one yet */
    struct bytes inbox;       /* the beginning of a line, whose end has not come yet */
    struct bytes outbox;      /* what is still to be sent */
    uint32_t awaited;         /* what epoll is to tell of it: EPOLLIN, and EPOLLOUT while its socket is full */
};

static struct client **clients;
static size_t count, room_for;
static int epoll;

static void *grown(void *old, size_t size) {
    void *new = realloc(old, size);
    if (!new) abort();
    return new;
}

static void append(struct bytes *to, const char *from, size_t size) {
    if (to->size + size > to->room) {
        to->room = 2 * (to->size + size);
        to->at = grown(to->at, to->room);
    }
    memcpy(to->at + to->size, from, size);
    to->size += size;
}

static void drop_first(struct bytes *from, size_t size) {
    from->size -= size;
    if (from->size) memmove(from->at, from->at + size, from->size);
}

static void await(struct client *client, uint32_t what, int how) {
    struct epoll_event event = {.events = what, .data.ptr = client};
    client->awaited = what;
    epoll_ctl(epoll, how, client->fd, &event);
}

static void welcome(int listener) {
    static const char question[] = "nickname\n";
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), yes = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct client *client = grown(NULL, sizeof *client);
    *client = (struct client){.fd = fd, .place = count};
    if (count == room_for) {
        room_for = 2 * room_for + 64;
        clients = grown(clients, room_for * sizeof *clients);
    }
    clients[count++] = client;
    append(&client->outbox, question, sizeof question - 1);
    await(client, EPOLLIN, EPOLL_CTL_ADD);
}

static void hang_up(struct client *client) {
    clients[client->place] = clients[--count]; /* the last takes its place */
    clients[client->place]->place = client->place;
    close(client->fd);
    free(client->inbox.at);
    free(client->outbox.at);
    free(client);
}

/* The first line of a client is its nickname, cut where `name` ends. */
static void name_it(struct client *client, const char *line, size_t size) {
    if (size > NAME - 2) size = NAME - 2;
    memcpy(client->name, line, size);
    memcpy(client->name + size, ": ", 2);
    client->name_size = size + 2;
}

/* Read once, and put the whole lines into the outboxes of the others. */
static void read_from(struct client *client) {
    static char data[AT_ONCE];
    static struct bytes said; /* kept, so that its memory is used again */
    ssize_t got = recv(client->fd, data, sizeof data, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        hang_up(client);
        return;
    }
    append(&client->inbox, data, (size_t)got);
    said.size = 0;
    char *line = client->inbox.at, *end = line + client->inbox.size, *lf;
    while ((lf = memchr(line, '\n', (size_t)(end - line)))) {
        if (client->name_size) {
            append(&said, client->name, client->name_size);
            append(&said, line, (size_t)(lf + 1 - line));
        } else {
            name_it(client, line, (size_t)(lf - line));
        }
        line = lf + 1;
    }
    drop_first(&client->inbox, (size_t)(line - client->inbox.at));
    if (!said.size) return;
    for (size_t i = 0; i < count; i++)
        if (clients[i] != client && clients[i]->name_size) append(&clients[i]->outbox, said.at, said.size);
}

/* Send what the socket takes; whether the connection still is. While something is left, epoll also tells when
 * there is room again. */
static int send_to(struct client *client) {
    ssize_t sent = send(client->fd, client->outbox.at, client->outbox.size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return 0;
    if (sent > 0) drop_first(&client->outbox, (size_t)sent);
    uint32_t what = EPOLLIN | (client->outbox.size ? EPOLLOUT : 0);
    if (what != client->awaited) await(client, what, EPOLL_CTL_MOD);
    return 1;
}

static int listen_on(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, BACKLOG)) {
        perror("floor");
        exit(1);
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    static struct epoll_event events[EVENTS];
    int listener = listen_on((uint16_t)(argc > 1 ? atoi(argv[1]) : 14901));
    epoll = epoll_create1(0);
    struct epoll_event newcomers = {.events = EPOLLIN}; /* the one event that is of no client */
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &newcomers);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!client)
                welcome(listener);
            else if (events[i].events & ~(uint32_t)EPOLLOUT)
                read_from(client); /* or there is an error, and recv tells it */
        }
        for (size_t i = 0; i < count;) {
            if (!clients[i]->outbox.size || send_to(clients[i]))
                i++;
            else
                hang_up(clients[i]); /* and the last is now in its place */
        }
    }
}
