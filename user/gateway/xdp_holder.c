// SPDX-License-Identifier: GPL-2.0
/* See xdp_holder.h. */
#include "xdp_holder.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "intercept.skel.h"
#include "log.h"
#include "privileges.h"
#include "tables.h"

#define ERROR_MAX 200

/* Detaching waits for libxdp's lock, which others may hold. */
#define STOP_TIMEOUT_US 5000000ULL

/* Main is dead and relays are not, though the kernel kills them: something is
 * very wrong, and the LAN matters more. */
#define RELAYS_TIMEOUT_US 2000000ULL

/* Maps of base, and the channel. */
#define KEEP_MAX 32

static const int capabilities[] = { CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN };

struct xdp_holder {
	pid_t pid;
	int channel;
};

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

enum wish { WISH_ATTACH, WISH_DETACH, WISH_WATCH };

/* What main asks for. A descriptor may come with it: the link of the program at
 * egress (attach), a relay's pidfd (watch). */
struct request {
	enum wish wish;
	int ifindex;
	char dev[IF_NAMESIZE];
};

struct answer {
	int result;
	enum xdp_mode mode;
	char error[ERROR_MAX];
};

/* ---- the process ---- */

/* *with: the descriptor that came with it, or -1. */
static bool get_request(int channel, struct request *request, int *with)
{
	union control control;
	struct iovec part = { .iov_base = request, .iov_len = sizeof(*request) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;

	*with = -1;
	if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != sizeof(*request))
		return false;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(with, CMSG_DATA(header), sizeof(*with));
	request->dev[sizeof(request->dev) - 1] = '\0';
	return true;
}

/* Relays that live, as pidfds; places of those that died are used again. */
static struct pollfd relays[SLUICE_MAX_RELAYS];
static nfds_t relay_count;

static int watch(int pidfd)
{
	nfds_t place = 0;

	poll(relays, relay_count, 0);
	while (place < relay_count && !relays[place].revents)
		place++;
	if (place == SLUICE_MAX_RELAYS)
		return -ENOSPC;
	if (place == relay_count)
		relay_count++;
	else
		close(relays[place].fd);
	relays[place] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	return 0;
}

/* A relay that dies resets its clients, and they must know whose resets these
 * are: the program at egress stays for so long. */
static void wait_for_relays(void)
{
	uint64_t until_us = child_now_us() + RELAYS_TIMEOUT_US, now_us;

	for (nfds_t i = 0; i < relay_count; i++) {
		now_us = child_now_us();
		if (now_us < until_us)
			poll(&relays[i], 1, (int)((until_us - now_us) / 1000) + 1);
	}
}

static int fulfil(const struct intercept_bpf *base, const struct request *request, int with,
		  struct answer *answer)
{
	switch (request->wish) {
	case WISH_ATTACH:
		return xdp_program_attach(base, request->dev, request->ifindex, with, &answer->mode,
					  answer->error, sizeof(answer->error));
	case WISH_WATCH:
		return watch(with);
	default:
		xdp_program_detach(request->ifindex);
		return 0;
	}
}

/* Refuses to attach with the words of refusal, unless that is NULL. */
static void serve(const struct intercept_bpf *base, int channel, const char *refusal)
{
	struct request request;
	struct answer answer;
	int with;

	while (get_request(channel, &request, &with)) {
		memset(&answer, 0, sizeof(answer));
		if (request.wish == WISH_ATTACH && refusal) {
			answer.result = -EPERM;
			snprintf(answer.error, sizeof(answer.error), "%s", refusal);
		} else {
			answer.result = fulfil(base, &request, with, &answer);
		}
		if (answer.result && with >= 0)
			close(with);
		if (send(channel, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			return;
	}
}

static _Noreturn void run(const struct intercept_bpf *base, int channel)
{
	int keep[KEEP_MAX] = { channel }, count = 1;
	char missing[ERROR_MAX], refusal[ERROR_MAX];
	struct bpf_map *map;

	bpf_object__for_each_map(map, base->obj) {
		if (count < KEEP_MAX)
			keep[count++] = bpf_map__fd(map);
	}
	child_begin(keep, (size_t)count, "sluiced xdp");
	/* It ends by its channel alone, whatever a service manager sends to all. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (privileges_keep(capabilities, sizeof(capabilities) / sizeof(capabilities[0]), missing,
			    sizeof(missing))) {
		/* Of no consequence until somebody asks for XDP. */
		snprintf(refusal, sizeof(refusal), "intercept = xdp needs CAP_SYS_ADMIN: %.120s",
			 missing);
		serve(base, channel, refusal);
		_exit(EXIT_SUCCESS);
	}
	if (xdp_program_remove_leftovers())
		log_notice("XDP programs of a run that was killed are removed");
	serve(base, channel, NULL);
	wait_for_relays();
	xdp_program_detach_all();
	_exit(EXIT_SUCCESS);
}

/* ---- main's side ---- */

int xdp_holder_new(const struct intercept_bpf *base, struct xdp_holder **holder)
{
	struct xdp_holder *new = calloc(1, sizeof(*new));
	int channel[2], result;

	*holder = NULL;
	if (!new)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		result = -errno;
		free(new);
		return result;
	}
	new->pid = fork();
	if (new->pid == 0)
		run(base, channel[1]);
	result = new->pid < 0 ? -errno : 0;
	close(channel[1]);
	if (result) {
		close(channel[0]);
		free(new);
		return result;
	}
	new->channel = channel[0];
	*holder = new;
	return 0;
}

void xdp_holder_free(struct xdp_holder *holder)
{
	if (!holder)
		return;
	close(holder->channel);
	child_reap("the XDP process", holder->pid, child_now_us() + STOP_TIMEOUT_US);
	free(holder);
}

static bool send_request(int channel, const struct request *request, int with)
{
	union control control = { 0 };
	struct iovec part = { .iov_base = (void *)request, .iov_len = sizeof(*request) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (with >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(with));
		memcpy(CMSG_DATA(&control.header), &with, sizeof(with));
	}
	return sendmsg(channel, &message, MSG_NOSIGNAL) == sizeof(*request);
}

static int ask(struct xdp_holder *holder, const struct request *request, int with,
	       struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	if (send_request(holder->channel, request, with) &&
	    recv(holder->channel, answer, sizeof(*answer), 0) == sizeof(*answer))
		return answer->result;
	snprintf(answer->error, sizeof(answer->error),
		 "%.16s: the process that attaches XDP programs has ended: restart sluiced",
		 request->dev);
	return -EPIPE;
}

int xdp_holder_attach(struct xdp_holder *holder, const char *dev, int ifindex, int egress,
		      enum xdp_mode *mode, char *error, size_t size)
{
	struct request request = { .wish = WISH_ATTACH, .ifindex = ifindex };
	struct answer answer;
	int result;

	memcpy(request.dev, dev, strnlen(dev, sizeof(request.dev) - 1));
	result = ask(holder, &request, egress, &answer);
	if (result)
		snprintf(error, size, "%s", answer.error);
	else
		*mode = answer.mode;
	return result;
}

void xdp_holder_detach(struct xdp_holder *holder, int ifindex)
{
	struct request request = { .wish = WISH_DETACH, .ifindex = ifindex };
	struct answer answer;

	if (ask(holder, &request, -1, &answer))
		log_warning("%s", answer.error);
}

void xdp_holder_watch(struct xdp_holder *holder, pid_t relay)
{
	struct request request = { .wish = WISH_WATCH };
	struct answer answer;
	int pidfd = pidfd_open(relay, 0);

	if (pidfd < 0 || ask(holder, &request, pidfd, &answer))
		log_debug("a relay is not watched by the XDP process");
	if (pidfd >= 0)
		close(pidfd);
}
