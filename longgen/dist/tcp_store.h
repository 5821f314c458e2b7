// dist/tcp_store.h: the store of torch's c10d, which torchrun serves, too.
#pragma once

#include <memory>

#include "longgen/dist/rank_place.h"
#include "longgen/dist/store.h"

namespace longgen {

/// Lets torch write nothing about connections that are lost, with stacks of its own functions: what
/// it throws says as much. Concerns the whole process.
void mute_store_log();

/// Serves a store on `listener` as long as the result lives, for clients that read keys of `run`.
std::unique_ptr<Store> serve_store(Socket listener, const std::string& host, const std::string& run,
                                   int num_ranks);
/// Connects to one, which may come up until the time-out. Keys get `run` before them.
std::unique_ptr<Store> connect_to_store(const Endpoint& where, const std::string& run,
                                        int num_ranks, std::chrono::milliseconds timeout);
/// The store of a place: rank 0 serves it, unless a launcher does, and all others connect to it.
std::unique_ptr<Store> open_store(const RankPlace& place, std::chrono::milliseconds timeout);

}  // namespace longgen
