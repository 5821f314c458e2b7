#include "longgen/dist/communicator.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {
namespace {

void copy_own(const std::string& name, ConstBytes from, Bytes to) {
  LG_CHECK(from.size() == to.size(), "[", name, "] expected a place of ", from.size(),
           " bytes for this rank's own part, found one of ", to.size(), ".");
  if (!from.empty() && from.data() != to.data()) std::ranges::copy(from, to.begin());
}

}  // namespace

Communicator::Call Communicator::make_call(CallKind kind, std::string_view name) const {
  LG_CHECK(!name.empty() && name.size() <= kMaxNameSize, "[", name, "] expected a name of 1 to ",
           kMaxNameSize, " bytes, found ", name.size(), ".");
  return {kind, std::string(name), {}, {}};
}

int Communicator::other_rank(int rank, const Call& call) const {
  LG_CHECK(rank >= 0 && rank < num_ranks() && rank != this->rank(), "[", call.name,
           "] expected another rank than this one, ", this->rank(), " of ", num_ranks(), ", found ",
           rank, ".");
  return rank;
}

Pending Communicator::all_gather(std::string_view name, ConstBytes part,
                                 std::span<const Bytes> all) {
  Call call = make_call(CallKind::all_gather, name);
  LG_CHECK(static_cast<int>(all.size()) == num_ranks(), "[", name, "] expected ", num_ranks(),
           " parts, found ", all.size(), ".");
  copy_own(call.name, part, all[static_cast<size_t>(rank())]);
  for (int r = 0; r < num_ranks(); ++r) {
    if (r == rank()) continue;
    call.sends.push_back({r, part});
    call.receives.push_back({r, all[static_cast<size_t>(r)]});
  }
  return start(std::move(call));
}

Pending Communicator::all_to_all(std::string_view name, std::span<const ConstBytes> parts,
                                 std::span<const Bytes> received) {
  Call call = make_call(CallKind::all_to_all, name);
  LG_CHECK(static_cast<int>(parts.size()) == num_ranks() && parts.size() == received.size(), "[",
           name, "] expected ", num_ranks(), " parts to send and to receive, found ", parts.size(),
           " and ", received.size(), ".");
  const auto own = static_cast<size_t>(rank());
  copy_own(call.name, parts[own], received[own]);
  for (int r = 0; r < num_ranks(); ++r) {
    if (r == rank()) continue;
    call.sends.push_back({r, parts[static_cast<size_t>(r)]});
    call.receives.push_back({r, received[static_cast<size_t>(r)]});
  }
  return start(std::move(call));
}

Pending Communicator::exchange(std::string_view name, std::span<const Send> sends,
                               std::span<const Receive> receives) {
  Call call = make_call(CallKind::exchange, name);
  std::vector<bool> sent(static_cast<size_t>(num_ranks())), received(sent);
  for (const Send& send : sends) {
    const auto to = static_cast<size_t>(other_rank(send.to, call));
    LG_CHECK(!sent[to], "[", name, "] expected one message to rank ", to, ", found two.");
    sent[to] = true;
    call.sends.push_back(send);
  }
  for (const Receive& receive : receives) {
    const auto from = static_cast<size_t>(other_rank(receive.from, call));
    LG_CHECK(!received[from], "[", name, "] expected one message of rank ", from, ", found two.");
    received[from] = true;
    call.receives.push_back(receive);
  }
  return start(std::move(call));
}

Pending Communicator::broadcast(std::string_view name, int root, Bytes bytes) {
  Call call = make_call(CallKind::broadcast, name);
  LG_CHECK(root >= 0 && root < num_ranks(), "[", name, "] expected a rank from 0 to ",
           num_ranks() - 1, ", found ", root, ".");
  if (root != rank()) {
    call.receives.push_back({root, bytes});
  } else {
    for (int r = 0; r < num_ranks(); ++r) {
      if (r != root) call.sends.push_back({r, bytes});
    }
  }
  return start(std::move(call));
}

Pending Communicator::barrier(std::string_view name) {
  Call call = make_call(CallKind::barrier, name);
  for (int r = 0; r < num_ranks(); ++r) {
    if (r == rank()) continue;
    call.sends.push_back({r, {}});
    call.receives.push_back({r, {}});
  }
  return start(std::move(call));
}

}  // namespace longgen
