// train/loss_exchange.h: the losses of batches that several ranks computed.
#pragma once

#include <string_view>
#include <vector>

#include "longgen/dist/communicator.h"
#include "longgen/train/objective/objective.h"

namespace longgen {

/// The losses of `count` batches, of which rank r computed r, r + P, r + 2P ...; `own` are this
/// rank's, in their order. Every rank gets all of them.
std::vector<LossSums> all_losses(Communicator& ranks, std::string_view call,
                                 const std::vector<LossSums>& own, int64_t count);

}  // namespace longgen
