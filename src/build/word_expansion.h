// SPDX-License-Identifier: Apache-2.0
// Variables and quotes in an instruction's words: $X, ${X}, ${X:-word}, ${X:+word}, ${X:?word},
// ${X#pattern}, ${X%pattern}, ${X/pattern/text}, 'as it is', "with $X", and the escape character.
// As moby/buildkit's frontend/dockerfile/shell does it.
#pragma once

#include "base/result.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

using Variables = std::map<std::string, std::string, std::less<>>;

// One word: white space in it or in a variable's value stays. Quotes are removed.
Result<std::string> expand_word(std::string_view text, const Variables& variables, char escape);

// Several: split where white space stands unquoted, in the text or in a variable's value.
Result<std::vector<std::string>>
expand_words(std::string_view text, const Variables& variables, char escape);

// Only variables; quotes stay as they are (the content of a heredoc).
Result<std::string> expand_text(std::string_view text, const Variables& variables, char escape);

} // namespace berth::build
