// SPDX-License-Identifier: Apache-2.0
// libseccomp compares with each system call's number. But neighbors mostly have the same answer, so
// that ranges of numbers need far fewer comparisons.
//
// The finished program is the truth here, not the profile. For each architecture that it asks for
// (and one for all others) it is asked about a number of each interval that it can tell apart;
// what it answers, or where it goes to look at arguments, becomes a table of ranges. The new
// program is a binary search in the table of the architecture, then either the action or a copy of
// the instructions that look at arguments. These begin with a load, so that nothing of what was
// done before matters to them.
//
// None of this has to be believed: at last decide_alike() proves both programs the same, and
// without this proof the original stays.
#include "kernel/seccomp_optimizer.h"

#include "kernel/filter_program.h"

#include <linux/seccomp.h>

#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace berth::kernel {

namespace {

// An instruction with what comes after it, wherever that will lie. Equal ones are the same.
struct FilterNode {
    std::uint16_t code = 0;
    std::uint32_t constant = 0;
    std::size_t yes = 0; // for a load and a mask, which do not branch, both are what comes next
    std::size_t no = 0;

    friend auto operator<=>(const FilterNode&, const FilterNode&) = default;
};

// Nodes in an order in which what comes after a node is there before it.
class FilterGraph {
  public:
    std::size_t add(const FilterNode& node) {
        const auto [found, added] = known_.try_emplace(node, nodes_.size());
        if (added) {
            nodes_.push_back(node);
        }
        return found->second;
    }

    std::size_t action(std::uint32_t value) { return add({ReturnAction, value, 0, 0}); }

    std::size_t load(std::uint32_t offset, std::size_t next) {
        return add({LoadWord, offset, next, next});
    }

    std::size_t branch(FilterCode code, std::uint32_t constant, std::size_t yes, std::size_t no) {
        return yes == no ? yes : add({code, constant, yes, no});
    }

    const std::vector<FilterNode>& nodes() const { return nodes_; }

  private:
    std::vector<FilterNode> nodes_;
    std::map<FilterNode, std::size_t> known_;
};

// Copies parts of a program into a graph, each instruction once.
class PartCopier {
  public:
    PartCopier(const FilterProgram& program, FilterGraph& graph)
        : program_(program)
        , graph_(graph)
        , copies_(program.size()) {}

    // What can be reached from the instruction at `start`, which is after it, as all jumps go
    // forward.
    std::size_t copy(std::size_t start) {
        if (copies_[start]) {
            return *copies_[start];
        }
        std::vector<bool> reached(program_.size());
        reached[start] = true;
        for (std::size_t i = start; i < program_.size(); ++i) {
            if (reached[i] && program_[i].code != ReturnAction) {
                const auto [yes, no] = filter_successors(program_, i);
                reached[yes] = true;
                reached[no] = true;
            }
        }
        for (std::size_t i = program_.size(); i-- > start;) {
            if (reached[i] && !copies_[i]) {
                copies_[i] = copy_of(i);
            }
        }
        return *copies_[start];
    }

  private:
    // REQUIRES: what comes after it has been copied.
    std::size_t copy_of(std::size_t index) {
        const sock_filter& instruction = program_[index];
        if (instruction.code == ReturnAction) {
            return graph_.action(instruction.k);
        }
        const auto [yes, no] = filter_successors(program_, index);
        return instruction.code == JumpAlways
                   ? *copies_[yes]
                   : graph_.add({instruction.code, instruction.k, *copies_[yes], *copies_[no]});
    }

    const FilterProgram& program_;
    FilterGraph& graph_;
    std::vector<std::optional<std::size_t>> copies_; // by index in the program
};

// Numbers from `first` to the next range, of which all but a few get the same decision. Where
// single numbers differ from their neighbors on both sides, a comparison for each takes half of
// what ranges of their own would.
struct CallRange {
    std::uint32_t first = 0;
    FilterDecision usual;
    std::vector<std::pair<std::uint32_t, FilterDecision>> exceptions;
};

// More would save no instruction and make the way to an answer longer.
constexpr std::size_t max_exceptions = 3;

// The decisions of one architecture, one number after the other: intervals that differ from both
// neighbors.
std::vector<CallRange> decided_ranges(
    const FilterProgram& program,
    const std::vector<std::uint32_t>& bounds,
    std::uint32_t architecture) {
    std::vector<CallRange> ranges;
    for (std::uint32_t first : bounds) {
        const FilterDecision decision = filter_decision(program, architecture, first);
        if (ranges.empty() || ranges.back().usual != decision) {
            ranges.push_back({first, decision, {}});
        }
    }
    return ranges;
}

std::vector<CallRange> with_exceptions(const std::vector<CallRange>& ranges) {
    std::vector<CallRange> joined;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        CallRange range = ranges[i];
        while (i + 2 < ranges.size() && ranges[i + 2].usual == range.usual &&
               ranges[i + 2].first - ranges[i + 1].first == 1 &&
               range.exceptions.size() < max_exceptions) {
            range.exceptions.emplace_back(ranges[i + 1].first, ranges[i + 1].usual);
            i += 2;
        }
        joined.push_back(std::move(range));
    }
    return joined;
}

class FilterBuilder {
  public:
    FilterBuilder(const FilterProgram& program, FilterGraph& graph)
        : program_(program)
        , graph_(graph)
        , copier_(program, graph) {}

    std::size_t build(const FilterConstants& constants) {
        std::size_t others = table(constants, other_architecture(constants.architectures));
        std::size_t root = others;
        for (std::uint32_t architecture : constants.architectures) {
            root = graph_.branch(JumpEqual, architecture, table(constants, architecture), root);
        }
        // Where every architecture has the same table nobody need ask for it.
        return root == others ? root : graph_.load(offsetof(seccomp_data, arch), root);
    }

  private:
    std::size_t table(const FilterConstants& constants, std::uint32_t architecture) {
        const std::vector<CallRange> ranges =
            with_exceptions(decided_ranges(program_, constants.number_bounds, architecture));
        if (ranges.size() == 1 && ranges[0].exceptions.empty()) {
            return target(ranges[0].usual);
        }
        return graph_.load(offsetof(seccomp_data, nr), search(ranges));
    }

    // The number is loaded, and lies in one of these ranges.
    std::size_t search(std::span<const CallRange> ranges) {
        if (ranges.size() > 1) {
            const std::size_t middle = ranges.size() / 2;
            const std::size_t above = search(ranges.subspan(middle));
            const std::size_t below = search(ranges.first(middle));
            return graph_.branch(JumpAtLeast, ranges[middle].first, above, below);
        }
        std::size_t answer = target(ranges[0].usual);
        for (const auto& [number, decision] : ranges[0].exceptions) {
            answer = graph_.branch(JumpEqual, number, target(decision), answer);
        }
        return answer;
    }

    std::size_t target(const FilterDecision& decision) {
        return decision.returns ? graph_.action(decision.value) : copier_.copy(decision.value);
    }

    const FilterProgram& program_;
    FilterGraph& graph_;
    PartCopier copier_;
};

// Puts the nodes one after the other, the last instruction first: so it is known how far it is to
// what a jump goes to. A conditional jump reaches 255 instructions; where that is not enough,
// another copy of the action, or a jump that goes any distance, is put nearby.
class FilterLayout {
  public:
    explicit FilterLayout(const std::vector<FilterNode>& nodes)
        : nodes_(nodes)
        , places_(nodes.size()) {}

    FilterProgram lay_out(std::size_t root) {
        for (std::size_t node = 0; node < nodes_.size(); ++node) {
            place(node);
        }
        fall_into(root);
        return {backwards_.rbegin(), backwards_.rend()};
    }

  private:
    static constexpr std::size_t max_reach = std::numeric_limits<std::uint8_t>::max();

    void place(std::size_t index) {
        const FilterNode& node = nodes_[index];
        if (node.code == ReturnAction) {
            return; // put where it is needed
        }
        if (node.code == LoadWord || node.code == MaskBits) {
            fall_into(node.yes);
            backwards_.push_back({node.code, 0, 0, node.constant});
        } else {
            reach(node.yes);
            reach(node.no);
            backwards_.push_back(
                {node.code,
                 static_cast<std::uint8_t>(distance(*places_[node.yes])),
                 static_cast<std::uint8_t>(distance(*places_[node.no])),
                 node.constant});
        }
        places_[index] = backwards_.size() - 1;
    }

    // From the instruction that is put next.
    std::size_t distance(std::size_t place) const { return backwards_.size() - place - 1; }

    // The node, or what leads to it, is near enough for a conditional jump, even when one more
    // instruction comes between.
    void reach(std::size_t node) {
        if (!places_[node] || distance(*places_[node]) + 1 > max_reach) {
            put_stand_in(node);
        }
    }

    // What is put next is followed by the node.
    void fall_into(std::size_t node) {
        if (!places_[node] || distance(*places_[node]) != 0) {
            put_stand_in(node);
        }
    }

    void put_stand_in(std::size_t node) {
        if (nodes_[node].code == ReturnAction) {
            backwards_.push_back({ReturnAction, 0, 0, nodes_[node].constant});
        } else {
            backwards_.push_back(
                {JumpAlways, 0, 0, static_cast<std::uint32_t>(distance(*places_[node]))});
        }
        places_[node] = backwards_.size() - 1;
    }

    const std::vector<FilterNode>& nodes_;
    FilterProgram backwards_;
    std::vector<std::optional<std::size_t>> places_; // of the nearest, by node
};

} // namespace

std::string optimize_seccomp(std::string_view instructions) {
    FilterProgram original(instructions.size() / sizeof(sock_filter));
    if (original.size() * sizeof(sock_filter) != instructions.size() || original.empty()) {
        return std::string(instructions);
    }
    std::memcpy(original.data(), instructions.data(), instructions.size());
    const std::optional<FilterConstants> constants = filter_constants(original);
    if (!constants) {
        return std::string(instructions);
    }
    FilterGraph graph;
    const std::size_t root = FilterBuilder(original, graph).build(*constants);
    const FilterProgram made = FilterLayout(graph.nodes()).lay_out(root);
    if (made.size() >= original.size() || !decide_alike(original, made)) {
        return std::string(instructions);
    }
    return {reinterpret_cast<const char*>(made.data()), made.size() * sizeof(sock_filter)};
}

} // namespace berth::kernel
