/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of OpenSSL's in the agent. It holds copies of the keys, which a forked
 * process must not have (lib/secret.h keeps only our own from it).
 */
#ifndef SLUICE_AGENT_TLS_MEMORY_H
#define SLUICE_AGENT_TLS_MEMORY_H

/* From now on OpenSSL's memory is known. To be called before anything of OpenSSL is
 * used. 0, or -EALREADY when that is too late. */
int tls_memory_open(void);

/* Wipes it in a process that was just forked, and that does not use OpenSSL. */
void tls_memory_wipe(void);

#endif
