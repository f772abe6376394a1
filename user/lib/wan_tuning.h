/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a WAN connection's parameters [980-984] mean for its socket: the one
 * place that decides it, for the gateway's own sockets and for those that the
 * agent's trunk ports accept. docs/man/sluice-parameters.7.md tells it to people.
 */
#ifndef SLUICE_WAN_TUNING_H
#define SLUICE_WAN_TUNING_H

#include <stdint.h>

#include "tables.h"
#include "tuning.h"

/* [984] The congestion control: the one named, else linkrate for the classes
 * that reserve a rate (cbr, vbr, abr), else "", the kernel's default. */
const char *wan_flow_control(const struct wan_params *params);

/* [980] Bytes of socket buffer, before the kernel doubles it; 0: autotuning. */
uint32_t wan_window(const struct wan_params *params);

/* [983] SO_MAX_PACING_RATE in bytes a second: the peak of vbr and abr, else the
 * rate; 0: none. */
uint64_t wan_pacing(const struct wan_params *params);

/* [983] The traffic class octet (the DSCP given, else the class's) and the
 * host's queueing priority; 0: the default. */
uint8_t wan_tos(const struct wan_params *params);
uint8_t wan_priority(const struct wan_params *params);

/* All of it, as the programs in the kernel take it. */
void wan_tuning(const struct wan_params *params, struct socket_tuning *tuning);

#endif
