// SPDX-License-Identifier: Apache-2.0
// Ranges are few (one, as a rule): lists are gone through.
#include "kernel/owner_map.h"

#include "base/strings.h"
#include "kernel/mount.h"
#include "kernel/namespace.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace berth::kernel {

namespace {

constexpr std::uint64_t id_end = std::numeric_limits<std::uint32_t>::max(); // no id itself
constexpr std::uint32_t nobody = 65534; // /proc/sys/kernel/overflowuid, as all machines have it
// The kernel's limit for one map.
constexpr std::size_t range_limit = 340;

// Half open.
struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

std::vector<Span> sorted(std::vector<Span> spans) {
    std::ranges::sort(spans, {}, &Span::begin);
    return spans;
}

// What of `all` lies in none of `taken`; both sorted, neither overlaps with itself.
std::vector<Span> without(const std::vector<Span>& all, const std::vector<Span>& taken) {
    std::vector<Span> rest;
    for (const Span& span : all) {
        std::uint64_t begin = span.begin;
        for (const Span& hole : taken) {
            if (hole.end <= begin || hole.begin >= span.end) {
                continue;
            }
            if (hole.begin > begin) {
                rest.push_back({begin, hole.begin});
            }
            begin = std::max(begin, hole.end);
        }
        if (begin < span.end) {
            rest.push_back({begin, span.end});
        }
    }
    return rest;
}

IdRange range_of(std::uint64_t inside, std::uint64_t outside, std::uint64_t size) {
    return {
        static_cast<std::uint32_t>(inside),
        static_cast<std::uint32_t>(outside),
        static_cast<std::uint32_t>(size)};
}

// Both have the same number of ids in all.
void pair_up(std::vector<IdRange>& ranges, std::vector<Span> from, std::vector<Span> to) {
    for (std::size_t f = 0, t = 0; f < from.size() && t < to.size();) {
        const std::uint64_t size = std::min(from[f].end - from[f].begin, to[t].end - to[t].begin);
        ranges.push_back(range_of(from[f].begin, to[t].begin, size));
        from[f].begin += size;
        to[t].begin += size;
        f += from[f].begin == from[f].end ? 1 : 0;
        t += to[t].begin == to[t].end ? 1 : 0;
    }
}

bool same(const std::vector<IdRange>& a, const std::vector<IdRange>& b) {
    return std::ranges::equal(a, b, [](const IdRange& x, const IdRange& y) {
        return x.inside == y.inside && x.outside == y.outside && x.size == y.size;
    });
}

std::uint32_t
inside_id(const std::vector<IdRange>& ranges, std::uint32_t outside, std::uint32_t otherwise) {
    for (const IdRange& range : ranges) {
        if (outside >= range.outside && outside - range.outside < range.size) {
            return range.inside + (outside - range.outside);
        }
    }
    return otherwise;
}

std::uint32_t
outside_id(const std::vector<IdRange>& ranges, std::uint32_t inside, std::uint32_t otherwise) {
    for (const IdRange& range : ranges) {
        if (inside >= range.inside && inside - range.inside < range.size) {
            return range.outside + (inside - range.inside);
        }
    }
    return otherwise;
}

} // namespace

std::string id_map_text(const std::vector<IdRange>& ranges) {
    std::string text;
    for (const IdRange& range : ranges) {
        text += std::to_string(range.inside) + " " + std::to_string(range.outside) + " " +
                std::to_string(range.size) + "\n";
    }
    return text;
}

Result<std::vector<IdRange>> parse_id_map(std::string_view text) {
    std::vector<IdRange> ranges;
    for (const std::string_view line : split(text, '\n')) {
        const std::vector<std::string_view> numbers = words(line);
        if (numbers.empty()) {
            continue;
        }
        if (numbers.size() != 3 || ranges.size() == range_limit) {
            return invalid_argument("\"" + std::string(line) + "\" maps no ids");
        }
        IdRange& range = ranges.emplace_back();
        range.inside = TRY(parse_number<std::uint32_t>(numbers[0]));
        range.outside = TRY(parse_number<std::uint32_t>(numbers[1]));
        range.size = TRY(parse_number<std::uint32_t>(numbers[2]));
    }
    return ranges;
}

std::vector<IdRange> exchange_of(const std::vector<IdRange>& ranges) {
    std::vector<Span> inside;
    std::vector<Span> outside;
    for (const IdRange& range : ranges) {
        inside.push_back({range.inside, std::uint64_t{range.inside} + range.size});
        outside.push_back({range.outside, std::uint64_t{range.outside} + range.size});
    }
    inside = sorted(std::move(inside));
    outside = sorted(std::move(outside));
    std::vector<IdRange> exchange = ranges;
    pair_up(exchange, without(outside, inside), without(inside, outside));
    for (const Span& rest : without(without({{0, id_end}}, inside), outside)) {
        exchange.push_back(range_of(rest.begin, rest.begin, rest.end - rest.begin));
    }
    return exchange;
}

std::vector<IdRange>
compose(const std::vector<IdRange>& first, const std::vector<IdRange>& second) {
    std::vector<IdRange> composed;
    for (const IdRange& a : first) {
        for (const IdRange& b : second) {
            const std::uint64_t begin = std::max(a.outside, b.inside);
            const std::uint64_t end =
                std::min(std::uint64_t{a.outside} + a.size, std::uint64_t{b.inside} + b.size);
            if (begin < end) {
                composed.push_back(range_of(
                    a.inside + (begin - a.outside), b.outside + (begin - b.inside), end - begin));
            }
        }
    }
    return composed;
}

std::uint32_t seen_id(const std::vector<IdRange>& exchange, std::uint32_t on_disk) {
    return outside_id(exchange, on_disk, on_disk);
}

std::uint32_t id_on_disk(const std::vector<IdRange>& exchange, std::uint32_t seen) {
    return inside_id(exchange, seen, seen);
}

OwnerMap::OwnerMap(IdMaps maps, IdMaps exchange, UniqueFd user_namespace)
    : maps_(std::move(maps))
    , exchange_(std::move(exchange))
    , user_namespace_(std::move(user_namespace)) {}

Result<std::shared_ptr<const OwnerMap>> OwnerMap::create(IdMaps maps) {
    IdMaps exchange{exchange_of(maps.uids), exchange_of(maps.gids)};
    if (std::max(exchange.uids.size(), exchange.gids.size()) > range_limit) {
        return invalid_argument(
            "too many ranges of ids: the kernel takes " + std::to_string(range_limit) +
            " for a map, with what they change places with");
    }
    UniqueFd user_namespace =
        TRY(make_user_namespace(id_map_text(exchange.uids), id_map_text(exchange.gids)));
    return std::shared_ptr<const OwnerMap>(
        new OwnerMap(std::move(maps), std::move(exchange), std::move(user_namespace)));
}

bool OwnerMap::maps_like(const IdMaps& other) const {
    return same(maps_.uids, other.uids) && same(maps_.gids, other.gids);
}

Result<void> OwnerMap::apply_to(FdRef mount) const {
    Result<void> mapped = set_mount_attributes(
        mount, {.set = MOUNT_ATTR_IDMAP, .user_namespace = user_namespace_.get()}, Recursive::No);
    if (!mapped.ok() && mapped.error().error_number() == EINVAL) {
        return Error(ErrorKind::Unavailable, "the file system cannot be id-mapped by this kernel");
    }
    return mapped;
}

std::uint32_t OwnerMap::inside_uid(std::uint32_t seen) const {
    return inside_id(maps_.uids, seen, nobody);
}

std::uint32_t OwnerMap::inside_gid(std::uint32_t seen) const {
    return inside_id(maps_.gids, seen, nobody);
}

std::uint32_t OwnerMap::outside_uid(std::uint32_t inside) const {
    return outside_id(maps_.uids, inside, root_uid());
}

std::uint32_t OwnerMap::outside_gid(std::uint32_t inside) const {
    return outside_id(maps_.gids, inside, root_gid());
}

} // namespace berth::kernel
