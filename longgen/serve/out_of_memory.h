// serve/out_of_memory.h: whether an error says that memory ran out.
#pragma once

#include <exception>
#include <optional>
#include <string>

namespace longgen {

/// What ran out, as a sentence; nothing where the error says something else.
std::optional<std::string> out_of_memory(const std::exception& error);

}  // namespace longgen
