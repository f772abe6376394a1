// SPDX-License-Identifier: GPL-2.0
/* See xdp_holder.h. */
#include "xdp_holder.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "intercept.skel.h"
#include "log.h"
#include "privileges.h"

#define ERROR_MAX 200

/* Detaching waits for libxdp's lock, which others may hold. */
#define STOP_TIMEOUT_US 5000000ULL

/* Maps of base, and the channel. */
#define KEEP_MAX 32

static const int capabilities[] = { CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN };

struct xdp_holder {
	pid_t pid;
	int channel;
};

/* What main asks for. */
struct request {
	int ifindex;
	int attach; /* 0: detach */
	char dev[IF_NAMESIZE];
};

struct answer {
	int result;
	enum xdp_mode mode;
	char error[ERROR_MAX];
};

/* ---- the process ---- */

static void serve(const struct intercept_bpf *base, int channel)
{
	struct request request;
	struct answer answer;

	while (recv(channel, &request, sizeof(request), 0) == sizeof(request)) {
		memset(&answer, 0, sizeof(answer));
		request.dev[sizeof(request.dev) - 1] = '\0';
		if (request.attach)
			answer.result = xdp_program_attach(base, request.dev, request.ifindex,
							   &answer.mode, answer.error,
							   sizeof(answer.error));
		else
			xdp_program_detach(request.ifindex);
		if (send(channel, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			return;
	}
}

static _Noreturn void run(const struct intercept_bpf *base, int channel)
{
	int keep[KEEP_MAX] = { channel }, count = 1;
	char error[ERROR_MAX];
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
	if (privileges_keep(capabilities, sizeof(capabilities) / sizeof(capabilities[0]), error,
			    sizeof(error))) {
		log_error("%s", error);
		_exit(EXIT_FAILURE);
	}
	if (xdp_program_remove_leftovers())
		log_notice("XDP programs of a run that was killed are removed");
	serve(base, channel);
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

static int ask(struct xdp_holder *holder, const char *dev, int ifindex, bool attach,
	       struct answer *answer)
{
	struct request request = { .ifindex = ifindex, .attach = attach };

	memset(answer, 0, sizeof(*answer));
	memcpy(request.dev, dev, strnlen(dev, sizeof(request.dev) - 1));
	if (send(holder->channel, &request, sizeof(request), MSG_NOSIGNAL) == sizeof(request) &&
	    recv(holder->channel, answer, sizeof(*answer), 0) == sizeof(*answer))
		return answer->result;
	snprintf(answer->error, sizeof(answer->error),
		 "%.16s: the process that attaches XDP programs has ended: restart sluiced", dev);
	return -EPIPE;
}

int xdp_holder_attach(struct xdp_holder *holder, const char *dev, int ifindex, enum xdp_mode *mode,
		      char *error, size_t size)
{
	struct answer answer;
	int result = ask(holder, dev, ifindex, true, &answer);

	if (result)
		snprintf(error, size, "%s", answer.error);
	else
		*mode = answer.mode;
	return result;
}

void xdp_holder_detach(struct xdp_holder *holder, int ifindex)
{
	struct answer answer;

	if (ask(holder, "", ifindex, false, &answer))
		log_warning("%s", answer.error);
}
