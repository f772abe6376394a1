// SPDX-License-Identifier: GPL-2.0
/* See parallel.h. */
#include "parallel.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "mptcp.h"

/* So often in a row, a second apart; a remote that takes fewer has said so by then. */
#define ADDITIONS_MAX 5

/* So often in a row without any connection, in spite of attempts to have one again: the
 * remote knows nothing of the flow any more. The kernel would wait for a minute. */
#define LOST_MAX 3

/* The kernel's path manager, opened by the first flow that needs it. */
static struct mptcp_manager *open_manager(struct gateway_relay *relay)
{
	int result;

	if (relay->manager)
		return relay->manager;
	result = mptcp_manager_open(&relay->manager);
	if (result)
		log_warning("MPTCP path manager: %s: flows keep one connection", strerror(-result));
	return relay->manager;
}

void parallel_complete(struct gateway_flow *flow)
{
	int fd = flow->core.remote.fd, result = 0;
	struct mptcp_manager *manager;
	struct mptcp_state state;

	if (flow->params.parallel <= 1 || flow->one_connection || fd < 0)
		return;
	mptcp_read(fd, &state);
	manager = state.fallen_back ? NULL : open_manager(gateway_relay_of(flow));
	if (!manager) {
		flow->one_connection = true;
		return;
	}
	flow->lost = state.connections ? 0 : flow->lost + 1;
	if (flow->lost > LOST_MAX) {
		flow_end(&flow->core, FLOW_END_REMOTE_RESET);
		return;
	}
	/* Those that were lost are worth new attempts. */
	if (state.connections >= flow->params.parallel || state.connections < flow->connections)
		flow->additions = 0;
	flow->connections = state.connections;
	if (state.connections >= flow->params.parallel || flow->additions >= ADDITIONS_MAX)
		return;
	for (unsigned i = state.connections; i < flow->params.parallel && !result; i++)
		result = mptcp_add_connection(manager, fd, state.token);
	/* Until the remote has acknowledged a byte, no other can join. */
	if (result != -ENOTCONN)
		flow->additions++;
	if (result && result != -ENOTCONN)
		log_debug("flow %llu: connection not added: %s", (unsigned long long)flow->id,
			  strerror(-result));
}
