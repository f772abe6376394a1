/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What nexthop_flows has of a relay's flows: BPF enters a connection when it takes
 * its SYN, the relay takes it away. Of flows by next-hop entries and XDP alone; for
 * others nothing happens.
 */
#ifndef SLUICE_NEXTHOP_FLOW_H
#define SLUICE_NEXTHOP_FLOW_H

#include "gateway_relay.h"

#include "events.h"

/* The SYN begins a flow: an older one of its tuple may just have been forgotten. */
void nexthop_flow_note(const struct gateway_relay *relay, const struct syn_event *syn);

/* Its flow has ended, or none has come of it. First its LAN leg is closed: a reset
 * that the kernel sends then needs the way back. What a newer SYN has entered stays. */
void nexthop_flow_forget(const struct gateway_relay *relay, const struct syn_event *syn);

#endif
