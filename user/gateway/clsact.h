/* SPDX-License-Identifier: GPL-2.0 */
/* The clsact qdisc of an interface, where there are no tcx links (before 6.6). */
#ifndef SLUICE_CLSACT_H
#define SLUICE_CLSACT_H

#include <stdbool.h>

/* True when no filter hangs on either side of the interface's clsact qdisc. Others may
 * have put theirs on one that we have made; in doubt there is one. */
bool clsact_is_empty(int ifindex);

#endif
