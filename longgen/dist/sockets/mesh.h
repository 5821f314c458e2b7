// dist/sockets/mesh.h: a connection between every two ranks.
#pragma once

#include <vector>

#include "longgen/dist/sockets/socket.h"
#include "longgen/dist/store.h"

namespace longgen {

/// Listens at a free port of `host`, tells the store where, connects to the ranks before this one
/// and is connected to by those behind it; each proves that it is of this run by a key that rank 0
/// draws and the store keeps. Strangers are turned away with a warning. result[r] leads to rank r,
/// that of `rank` is not open. Throws Error naming the ranks that did not come before the deadline.
std::vector<Socket> connect_all(Store& store, int rank, int num_ranks, const std::string& host,
                                Deadline deadline);

}  // namespace longgen
