// SPDX-License-Identifier: GPL-2.0
/* See xdp_leftover.h. */
#include "xdp_leftover.h"

#include <errno.h>
#include <string.h>
#include <xdp/libxdp.h>

static bool is_ours(const struct xdp_program *program)
{
	return program && strcmp(xdp_program__name(program), XDP_PROGRAM_NAME) == 0;
}

/* Looks for programs of ours, and detaches them if asked to: 0, -ENOENT when there is
 * none, or another negative errno. */
static int find(int ifindex, bool detach)
{
	struct xdp_multiprog *programs = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *program = NULL;
	int result = -ENOENT;

	if (libxdp_get_error(programs))
		return result;
	if (xdp_multiprog__is_legacy(programs)) {
		if (is_ours(xdp_multiprog__main_prog(programs)))
			result = detach ? xdp_multiprog__detach(programs) : 0;
	} else {
		while ((program = xdp_multiprog__next_prog(program, programs)))
			if (is_ours(program))
				result = detach ? xdp_program__detach(program, ifindex,
								      xdp_multiprog__attach_mode(
									      programs),
								      0)
						: 0;
	}
	xdp_multiprog__close(programs);
	return result;
}

bool xdp_leftover_is_on(int ifindex)
{
	return find(ifindex, false) == 0;
}

int xdp_leftover_remove(int ifindex)
{
	return find(ifindex, true);
}
