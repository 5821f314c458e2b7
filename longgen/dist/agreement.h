// dist/agreement.h: what all ranks of a run must have alike.
#pragma once

#include <string>
#include <vector>

#include "longgen/dist/communicator.h"

namespace longgen {

/// Something that decides what a run computes, as text: {"version", "longgen 0.1.0"}. A value of
/// several lines is compared line by line.
struct Fact {
  std::string name, value;
};

/// Gives everybody's facts to all, and throws Error where they differ: it names the first rank that
/// differs from rank 0, and what differs. A rank that throws may be gone before others have all
/// facts: these throw RankLost. All ranks give the
/// same names in the same order.
void expect_agreement(Communicator& ranks, std::string_view call, const std::vector<Fact>& facts);

}  // namespace longgen
