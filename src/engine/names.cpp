// SPDX-License-Identifier: Apache-2.0
// Generated names: an adjective and the surname of somebody who moved science or computing on.
#include "engine/names.h"

#include "base/random.h"

#include <algorithm>
#include <array>

namespace berth::engine {
namespace {

constexpr std::string_view adjectives[] = {
    "able",    "agile",    "amused",    "apt",      "ardent",   "awake",   "balanced", "bold",
    "brave",   "bright",   "brisk",     "calm",     "candid",   "careful", "cheerful", "clear",
    "clever",  "cosy",     "crisp",     "curious",  "daring",   "deft",    "dreamy",   "eager",
    "earnest", "easy",     "eloquent",  "fair",     "fearless", "festive", "focused",  "fond",
    "frank",   "frosty",   "gallant",   "generous", "gentle",   "gifted",  "glad",     "graceful",
    "happy",   "hardy",    "helpful",   "honest",   "hopeful",  "humble",  "jolly",    "joyful",
    "keen",    "kind",     "lively",    "loyal",    "lucid",    "lucky",   "mellow",   "merry",
    "modest",  "musing",   "neat",      "nimble",   "noble",    "open",    "patient",  "peaceful",
    "pensive", "playful",  "polite",    "proud",    "quick",    "quiet",   "radiant",  "ready",
    "relaxed", "serene",   "sharp",     "silent",   "sincere",  "skilful", "smooth",   "snug",
    "sober",   "steady",   "stoic",     "strong",   "sunny",    "swift",   "tender",   "thrifty",
    "tidy",    "trusting", "upbeat",    "vibrant",  "vigilant", "vivid",   "warm",     "wary",
    "wise",    "witty",    "wonderful", "zealous",  "zesty"};

constexpr std::string_view surnames[] = {
    "abel",        "agnesi",     "ampere",    "archimedes",   "aryabhata", "avicenna",
    "babbage",     "bell",       "bernoulli", "bohr",         "boole",     "bose",
    "brahmagupta", "brown",      "cantor",    "carson",       "cerf",      "chandrasekhar",
    "cori",        "curie",      "darwin",    "dijkstra",     "dirac",     "edison",
    "einstein",    "elion",      "engelbart", "euclid",       "euler",     "faraday",
    "fermat",      "fermi",      "feynman",   "franklin",     "galileo",   "galois",
    "gauss",       "germain",    "goodall",   "hamilton",     "hawking",   "heisenberg",
    "herschel",    "hodgkin",    "hopper",    "hypatia",      "jackson",   "jemison",
    "johnson",     "joliot",     "kare",      "keller",       "kepler",    "khayyam",
    "khorana",     "kilby",      "knuth",     "kovalevskaya", "lamarr",    "lamport",
    "leavitt",     "lederberg",  "leibniz",   "liskov",       "lovelace",  "lumiere",
    "maxwell",     "mayer",      "mccarthy",  "mcclintock",   "meitner",   "mendel",
    "mendeleev",   "mirzakhani", "morse",     "napier",       "newton",    "nightingale",
    "nobel",       "noether",    "pascal",    "pasteur",      "perlman",   "planck",
    "poincare",    "raman",      "ramanujan", "ritchie",      "rosalind",  "rubin",
    "saha",        "sammet",     "shannon",   "shaw",         "shirley",   "sinoussi",
    "stallman",    "swartz",     "tesla",     "thompson",     "torvalds",  "turing",
    "vaughan",     "villani",    "volta",     "wescoff",      "wilbur",    "wiles",
    "williams",    "wozniak",    "wright",    "yalow",        "yonath"};

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

} // namespace

bool is_valid_container_name(std::string_view name) {
    return name.size() >= 2 && is_alphanumeric(name.front()) &&
           std::ranges::all_of(
               name, [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

std::string generate_container_name(unsigned attempt) {
    const std::uint64_t random = random_u64();
    std::string name(adjectives[random % std::size(adjectives)]);
    name += '_';
    name += surnames[(random >> 20) % std::size(surnames)];
    if (attempt > 0) {
        name += std::to_string((random >> 40) % 10);
    }
    return name;
}

} // namespace berth::engine
