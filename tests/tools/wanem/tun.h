/* SPDX-License-Identifier: GPL-2.0 */
/* One end of the emulated link: a TUN device in a network namespace. */
#ifndef WANEM_TUN_H
#define WANEM_TUN_H

#include <stdint.h>
#include <stdio.h>

#define TUN_ADDRESSES_MAX 8

struct tun_settings {
	const char *netns; /* name as ip-netns(8) knows it, or path; NULL: this one */
	const char *device;
	const char *addresses[TUN_ADDRESSES_MAX]; /* "ADDRESS/PREFIX" */
	unsigned address_count;
	unsigned mtu;
};

struct tun {
	int fd; /* one packet with its virtio-net header a read or write, non-blocking */
	FILE *statistics; /* /proc/net/dev of its namespace */
	const char *device;
};

/* Makes the device, sets it up, and gives it its addresses. 0 or negative errno,
 * with a message on standard error. */
int tun_open(struct tun *tun, const struct tun_settings *settings);
void tun_close(struct tun *tun);

/* Packets that the kernel dropped because nobody read the device fast enough. */
uint64_t tun_drops(struct tun *tun);

#endif
