/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The beginning of a WAN leg whose trunk port the remote's agent ends
 * (docs/man/sluice-protocol.7.md). The gateway's first bytes are a PROXY protocol header
 * (version 2) that says which client wants which service; the agent connects
 * to the application and answers with one byte. From then on the streams are
 * the client's and the application's.
 */
#ifndef SLUICE_TRUNK_H
#define SLUICE_TRUNK_H

/* What the agent's byte may be; not 0, which anybody might send. */
enum trunk_answer {
	TRUNK_ACCEPTED = 1, /* the application accepted */
	TRUNK_REFUSED = 2, /* it refused */
	TRUNK_NO_ANSWER = 3, /* it did not answer */
	TRUNK_FAILED = 4, /* the agent could not try: no resources, no such service */
};

#endif
