/* The limit to measure against: copies bytes between pairs of sockets and knows nothing of PostgreSQL.
 *
 * relay LISTEN_PORT SERVER_PORT [edge]: one thread, one epoll set, one server connection for each client, both on
 * 127.0.0.1; level-triggered unless the third word says otherwise. For benchmarks only: a reader that does not read
 * ends the pair, and so does any error. */
#define _GNU_SOURCE
#include <arpa/inet.h>
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

enum { room = 32 * 1024, limit = 65536 };
static int peer[limit];
static char bytes[room];

static struct sockaddr_in local(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void stop_waiting(int descriptor) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void end(int descriptor) {
    int other = peer[descriptor];
    close(descriptor);
    if (other > 0) close(other);
    peer[descriptor] = 0;
    peer[other] = 0;
}

static int whole(int descriptor, ssize_t count) {
    ssize_t done = 0;
    while (done < count) {
        ssize_t sent = send(descriptor, bytes + done, (size_t)(count - done), MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) continue;
        if (sent < 0) return 0;
        done += sent;
    }
    return 1;
}

int main(int count, char **words) {
    if (count < 3) return fprintf(stderr, "relay LISTEN_PORT SERVER_PORT [edge]\n"), 2;
    uint32_t flags = EPOLLIN | (count > 3 && !strcmp(words[3], "edge") ? EPOLLET : 0);
    struct sockaddr_in here = local(atoi(words[1])), there = local(atoi(words[2]));
    int listener = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) return perror("listen"), 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int found = epoll_wait(set, events, 256, -1);
        for (int index = 0; index < found; index++) {
            int descriptor = events[index].data.fd;
            if (descriptor == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                int server = socket(AF_INET, SOCK_STREAM, 0);
                if (client < 0 || server < 0 || client >= limit || server >= limit) return perror("accept"), 1;
                if (connect(server, (struct sockaddr *)&there, sizeof there)) return perror("connect"), 1;
                stop_waiting(client);
                stop_waiting(server);
                peer[client] = server;
                peer[server] = client;
                for (int side = 0; side < 2; side++) {
                    event = (struct epoll_event){.events = flags, .data.fd = side ? server : client};
                    epoll_ctl(set, EPOLL_CTL_ADD, side ? server : client, &event);
                }
                continue;
            }
            if (!peer[descriptor]) continue;
            ssize_t got;
            do {
                got = recv(descriptor, bytes, room, MSG_DONTWAIT);
                if (got < 0 && errno == EAGAIN) break;
                if (got <= 0 || !whole(peer[descriptor], got)) {
                    end(descriptor);
                    break;
                }
            } while (got == room && flags & EPOLLET);
        }
    }
}
