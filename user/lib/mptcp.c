// SPDX-License-Identifier: GPL-2.0
/* MPTCP sockets and the switch of their path manager; see mptcp.h. */
#include "mptcp.h"

#include <errno.h>
#include <linux/mptcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

/* A state of TCP_INFO; netinet/tcp.h has it, which cannot be had beside linux/tcp.h. */
#define TCP_CLOSE 7

/* 0: the kernel's path manager, 1: that of the sockets' owners. */
#define PM_TYPE "/proc/sys/net/mptcp/pm_type"
#define PM_TYPE_KERNEL 0
#define PM_TYPE_USERSPACE 1

static enum { NOT_TAKEN, TAKEN, TAKEN_BEFORE } taken;

bool mptcp_is_available(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static int write_pm_type(int type)
{
	FILE *file = fopen(PM_TYPE, "we");
	int result = 0;

	if (!file)
		return -errno;
	fprintf(file, "%d\n", type);
	if (fclose(file) != 0)
		result = -errno;
	return result;
}

int mptcp_take_over(void)
{
	FILE *file;
	int type = -1, result;

	if (taken != NOT_TAKEN)
		return 0;
	file = fopen(PM_TYPE, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "%d", &type) != 1)
		type = -1;
	fclose(file);
	if (type == PM_TYPE_USERSPACE) {
		taken = TAKEN_BEFORE;
		return 0;
	}
	result = write_pm_type(PM_TYPE_USERSPACE);
	if (!result)
		taken = TAKEN;
	return result;
}

void mptcp_give_back(void)
{
	if (taken == TAKEN)
		write_pm_type(PM_TYPE_KERNEL);
	taken = NOT_TAKEN;
}

int mptcp_connections_info(int fd, struct tcp_info *infos, unsigned max)
{
	struct {
		struct mptcp_subflow_data head;
		struct tcp_info infos[MPTCP_SUBFLOWS_MAX + 1];
	} answer = { .head = { .size_subflow_data = sizeof(answer.head),
			       .size_user = sizeof(struct tcp_info) } };
	socklen_t length = sizeof(answer);
	unsigned count = 0;

	_Static_assert(offsetof(typeof(answer), infos) == sizeof(struct mptcp_subflow_data),
		       "elements follow the head");
	if (getsockopt(fd, SOL_MPTCP, MPTCP_TCPINFO, &answer, &length) < 0)
		return -errno;
	if (answer.head.num_subflows > MPTCP_SUBFLOWS_MAX + 1)
		answer.head.num_subflows = MPTCP_SUBFLOWS_MAX + 1;
	/* The first stays in the list when it is gone. */
	for (unsigned i = 0; i < answer.head.num_subflows && count < max; i++)
		if (answer.infos[i].tcpi_state != TCP_CLOSE)
			infos[count++] = answer.infos[i];
	return (int)count;
}

void mptcp_read(int fd, struct mptcp_state *state)
{
	struct mptcp_info info = { 0 };
	struct tcp_info infos[MPTCP_SUBFLOWS_MAX + 1];
	socklen_t length = sizeof(info);
	int count;

	*state = (struct mptcp_state){ .fallen_back = true, .connections = 1 };
	if (getsockopt(fd, SOL_MPTCP, MPTCP_INFO, &info, &length) < 0)
		return;
	state->fallen_back = info.mptcpi_flags & MPTCP_INFO_FLAG_FALLBACK;
	state->token = info.mptcpi_token;
	count = mptcp_connections_info(fd, infos, MPTCP_SUBFLOWS_MAX + 1);
	if (count >= 0)
		state->connections = (unsigned)count;
}
