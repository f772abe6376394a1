// SPDX-License-Identifier: GPL-2.0
/* An XDP program of somebody else's, for tests/net/test_xdp.py: it drops datagrams
 * to one port. Any headers it does not know pass. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PORT 4000

char LICENSE[] SEC("license") = "GPL";

SEC("xdp")
int other_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ipv4 = (void *)(ethernet + 1);
	struct ipv6hdr *ipv6 = (void *)(ethernet + 1);
	struct udphdr *udp;

	if ((void *)(ipv4 + 1) > data_end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP) && ipv4->protocol == IPPROTO_UDP)
		udp = (void *)(ipv4 + 1);
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ipv6 + 1) <= data_end &&
		 ipv6->nexthdr == IPPROTO_UDP)
		udp = (void *)(ipv6 + 1);
	else
		return XDP_PASS;
	if ((void *)(udp + 1) > data_end)
		return XDP_PASS;
	return udp->dest == bpf_htons(PORT) ? XDP_DROP : XDP_PASS;
}
