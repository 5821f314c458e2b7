// serve/random_key.h: numbers that nobody can guess.
#pragma once

#include <cstdint>
#include <random>

namespace longgen {

/// Draws 64 bits from the system: keys of hashes, of ids and of seeds that nobody chose.
inline uint64_t random_key() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace longgen
