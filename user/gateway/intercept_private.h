/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by intercept.c and its parts intercept_*.c only. */
#ifndef SLUICE_INTERCEPT_PRIVATE_H
#define SLUICE_INTERCEPT_PRIVATE_H

#include <bpf/libbpf.h>

#include "intercept.h"
#include "intercept.skel.h"
#include "xdp_holder.h"

struct intercept {
	struct intercept_bpf *skeleton;
	char *pin_dir;
	int pin_dir_fd; /* carries the lock */
	bool made_pin_dir;
	struct relay_state *relay_states;
	uint64_t *half_open_by_client;
	struct xdp_holder *xdp_holder;
	enum way_in way;
	struct list interfaces; /* struct intercept_interface */
};

/* Detaches from one interface and frees it. */
void interface_detach(struct intercept *intercept, struct intercept_interface *interface);

#endif
