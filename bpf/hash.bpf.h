/* SPDX-License-Identifier: GPL-2.0 */
/* Bob Jenkins' lookup3 on one address, as the kernel's jhash2() does it. */
#ifndef SLUICE_HASH_BPF_H
#define SLUICE_HASH_BPF_H

#include <linux/types.h>

#define ROTATE_LEFT(word, bits) (((word) << (bits)) | ((word) >> (32 - (bits))))

/* Keyed hash of a 16-byte address. The key is random per start, so that nobody
 * can choose addresses that share a bucket. */
static __always_inline __u32 address_hash(const __u8 address[16], __u32 key)
{
	const __u32 *word = (const __u32 *)address;
	__u32 a = 0xdeadbeef + 16 + key, b = a, c = a;

	a += word[0];
	b += word[1];
	c += word[2];
	a -= c, a ^= ROTATE_LEFT(c, 4), c += b;
	b -= a, b ^= ROTATE_LEFT(a, 6), a += c;
	c -= b, c ^= ROTATE_LEFT(b, 8), b += a;
	a -= c, a ^= ROTATE_LEFT(c, 16), c += b;
	b -= a, b ^= ROTATE_LEFT(a, 19), a += c;
	c -= b, c ^= ROTATE_LEFT(b, 4), b += a;
	a += word[3];
	c ^= b, c -= ROTATE_LEFT(b, 14);
	a ^= c, a -= ROTATE_LEFT(c, 11);
	b ^= a, b -= ROTATE_LEFT(a, 25);
	c ^= b, c -= ROTATE_LEFT(b, 16);
	a ^= c, a -= ROTATE_LEFT(c, 4);
	b ^= a, b -= ROTATE_LEFT(a, 14);
	c ^= b, c -= ROTATE_LEFT(b, 24);
	return c;
}

#endif
