// SPDX-License-Identifier: GPL-2.0
/* See syn_headers.h. The BPF program's parser (bpf/parse.bpf.h) is its elder brother. */
#include "syn_headers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

static void address_from_ipv4(uint8_t address[16], uint32_t ipv4)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, &ipv4, sizeof(ipv4));
}

/* The link header ends with the type of what follows, tags or not. */
static bool link_announces(const struct syn_headers *headers, uint16_t ethertype)
{
	uint16_t announced;

	if (headers->link_length == 0)
		return true;
	if (headers->link_length < ETH_HLEN)
		return false;
	memcpy(&announced, headers->ip - sizeof(announced), sizeof(announced));
	return ntohs(announced) == ethertype;
}

/* Sets what an IPv4 header says; *payload becomes the bytes behind it. */
static int parse_ipv4(struct syn_headers *headers, size_t *payload)
{
	struct iphdr ip;

	if (headers->ip_length < sizeof(ip) || !link_announces(headers, ETH_P_IP))
		return -EINVAL;
	memcpy(&ip, headers->ip, sizeof(ip));
	if (ip.protocol != IPPROTO_TCP || ip.frag_off & htons(IP_MF | IP_OFFMASK))
		return -EINVAL;
	if (ip.ihl * 4U != headers->ip_length || ntohs(ip.tot_len) < headers->ip_length)
		return -EINVAL;
	address_from_ipv4(headers->client, ip.saddr);
	address_from_ipv4(headers->remote, ip.daddr);
	*payload = ntohs(ip.tot_len) - headers->ip_length;
	return 0;
}

/* True when the headers between IPv6 and TCP are none but options and routing
 * headers that are done with: with segments left, the address that the TCP
 * checksum covers is not the one in the IPv6 header. */
static bool extensions_lead_to_tcp(const struct syn_headers *headers, uint8_t next)
{
	size_t offset = sizeof(struct ipv6hdr);

	while (offset < headers->ip_length) {
		struct ipv6_rt_hdr extension;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return false;
		if (headers->ip_length - offset < sizeof(extension))
			return false;
		memcpy(&extension, headers->ip + offset, sizeof(extension));
		if (next == IPPROTO_ROUTING && extension.segments_left != 0)
			return false;
		next = extension.nexthdr;
		offset += (extension.hdrlen + 1U) * 8;
	}
	return offset == headers->ip_length && next == IPPROTO_TCP;
}

/* Sets what an IPv6 header says; *payload becomes the bytes behind it and its extensions. */
static int parse_ipv6(struct syn_headers *headers, size_t *payload)
{
	struct ipv6hdr ip;
	size_t extensions;

	if (headers->ip_length < sizeof(ip) || !link_announces(headers, ETH_P_IPV6))
		return -EINVAL;
	memcpy(&ip, headers->ip, sizeof(ip));
	extensions = headers->ip_length - sizeof(ip);
	if (!extensions_lead_to_tcp(headers, ip.nexthdr) || ntohs(ip.payload_len) < extensions)
		return -EINVAL;
	memcpy(headers->client, &ip.saddr, sizeof(headers->client));
	memcpy(headers->remote, &ip.daddr, sizeof(headers->remote));
	*payload = ntohs(ip.payload_len) - extensions;
	return 0;
}

static int parse_tcp(struct syn_headers *headers, size_t saved, size_t payload)
{
	struct tcphdr tcp;

	if (saved < sizeof(tcp))
		return -EINVAL;
	memcpy(&tcp, headers->tcp, sizeof(tcp));
	headers->tcp_length = tcp.doff * 4U;
	if (headers->tcp_length < sizeof(tcp) || headers->tcp_length > saved ||
	    headers->tcp_length > payload)
		return -EINVAL;
	if (!tcp.syn || tcp.ack || tcp.rst || tcp.fin)
		return -EINVAL;
	headers->data_length = payload - headers->tcp_length;
	return 0;
}

int syn_headers_parse(const struct syn_event *event, struct syn_headers *headers)
{
	size_t payload;
	int result;

	if (event->frame_len > SYN_FRAME_MAX || event->l4_offset > event->frame_len ||
	    event->l3_offset >= event->l4_offset)
		return -EINVAL;
	headers->link = event->frame;
	headers->link_length = event->l3_offset;
	headers->ip = event->frame + event->l3_offset;
	headers->ip_length = event->l4_offset - event->l3_offset;
	headers->tcp = event->frame + event->l4_offset;
	headers->ipv6 = headers->ip[0] >> 4 == 6;
	if (headers->ipv6)
		result = parse_ipv6(headers, &payload);
	else if (headers->ip[0] >> 4 == 4)
		result = parse_ipv4(headers, &payload);
	else
		result = -EINVAL;
	if (result)
		return result;
	return parse_tcp(headers, event->frame_len - event->l4_offset, payload);
}
