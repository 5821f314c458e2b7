// serve/schedule/prefix_cache.h: pages of prompts and replies of the past, for those that begin
// alike.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "longgen/serve/schedule/cached_pages.h"

namespace longgen {

/// Which page of a sequence holds a block of a page table, numbered as in HeldPage.
class BlockPages {
 public:
  virtual ~BlockPages() = default;
  /// kNoPage where no page holds it.
  virtual PageId page(int64_t table, int64_t block) const = 0;
};

/// A tree of blocks of tokens below a root for each salt, so that nobody learns of another one's
/// prompts by asking how long the same ones take. A block is found by a hash that is chained from
/// the root's; parent and tokens are compared, so that two blocks with one hash are a miss and
/// nothing else.
///
/// A block owns its lasting pages: of full layers, sinks and the stride. A checkpoint at a block
/// owns the window pages that the pattern calls live at its end. A sequence can begin at a
/// checkpoint, with exactly the pages that are live there; where no layer has a window, it can
/// begin behind every block.
///
/// Eviction takes the checkpoint that was used least recently and is not pinned: where other blocks
/// follow, its window pages; at a leaf all pages of the branch, up to a block that has a
/// checkpoint, a pin or another branch. So what is left can always be used.
///
/// Where the host has room, what is evicted goes there and stays known (CachedPages); the host's
/// own checkpoint that was used least recently makes room for it. Blocks on the host follow those
/// on the device, never the other way round, and of a checkpoint the window pages may be on the
/// host alone. Who begins at such a place brings its pages back with load(). Not thread-safe.
class PrefixCache {
 public:
  /// `key`: random bits of the process, which keep hashes from being foreseen. `pages` must outlive
  /// it, and releases what it holds. Tests make blocks meet by hashes of fewer bits.
  PrefixCache(const KvLayout& layout, CachedPages& pages, uint64_t key, int hash_bits = 128);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  struct Node;

  /// How far a sequence of tokens is known.
  struct Match {
    Node* node = nullptr;        ///< where it can begin; null: nowhere
    Node* on_device = nullptr;   ///< the last block up to it that is on the device
    int64_t hit_tokens = 0;      ///< a multiple of Pattern::kBlock, less than all tokens
    int64_t matched_tokens = 0;  ///< that stand in the tree, at least hit_tokens
    int64_t pages_to_load = 0;   ///< that are on the host alone
  };
  /// At least one token is left to be computed. Does not count as a use. Without `on_host` only
  /// what is on the device.
  Match find(const std::string& salt, std::span<const int32_t> tokens, bool on_host = true) const;
  /// Brings the match's pages back to the device, where pages_to_load are taken for them. False,
  /// and nothing has changed, where the pool has no memory. Both its blocks must be pinned.
  [[nodiscard]] bool load(const Match& match);
  /// Match::pages_to_load, as things are now.
  int64_t pages_to_load(const Match& match) const;
  /// How many copies to the device (CachedPages::num_arrived()) the pages of a match on the device
  /// wait for; 0 where they are all there.
  int64_t arrives_at(const Match& match) const;
  /// Says that a sequence begins at the match, which is on the device: refreshes its checkpoint.
  /// Returns its pages, live ones and no others.
  std::vector<HeldPage> use(const Match& match);

  /// A pinned block is not evicted, and of those before it none that is on the same side. Pins
  /// count.
  void pin(Node* node);
  /// Removes a pin, and blocks that no sequence can begin at any more.
  void unpin(Node* node);

  /// What the cache would come to own.
  struct Growth {
    int64_t lasting = 0;
    int64_t window = 0;
  };
  /// Keeps the pages of a sequence at its first tokens.size() tokens, a multiple of
  /// Pattern::kBlock, all of which are in `pages`. Blocks that are known stay with the pages that
  /// they have. `may_grow` is asked before; it may evict. Returns the block at the end, which has a
  /// checkpoint now; null, and nothing has changed, where may_grow() says no, a page is missing,
  /// or another block has the same hash.
  Node* store(const std::string& salt, std::span<const int32_t> tokens, const BlockPages& pages,
              const std::function<bool(const Growth&)>& may_grow);

  /// Evicts from the host until it has room for so many pages; false where it never has.
  bool make_host_room(int64_t pages);
  /// Gives up pages of the branch that was used least recently, at once or, on their way to the
  /// host, when they have left. False where none can be evicted.
  bool evict_one();

  int64_t num_blocks() const { return static_cast<int64_t>(nodes_.size()); }
  int64_t num_checkpoints() const {
    return static_cast<int64_t>(on_device_.size() + on_host_.size());
  }

 private:
  using Tokens = std::array<int32_t, Pattern::kBlock>;
  struct Hash {
    uint64_t low, high;
    bool operator==(const Hash&) const = default;
  };
  struct HashOfHash {
    size_t operator()(const Hash& hash) const { return hash.low; }
  };
  using Refs = CachedPages::Refs;
  using Roots = std::map<std::string, int64_t>;  ///< how many blocks follow the root of each salt
  using ByUse = std::map<int64_t, Node*>;        ///< checkpoints, the one used least recently first

  /// The blocks of a sequence that are known.
  struct Path {
    Hash hash;                 ///< of the last known block, or the root
    std::vector<Node*> nodes;  ///< from the root
  };

  Hash hash_of(const void* bytes, size_t count) const;
  Hash next_hash(const Hash& before, std::span<const int32_t> block) const;
  Path walk(const std::string& salt, std::span<const int32_t> tokens) const;
  bool can_begin_at(const Node& node, bool on_host) const;
  static Node* last_on_device(Node* node);
  Refs refs_on_host(const Node& node) const;
  // These two are false where a page is missing.
  bool lasting_pages(const BlockPages& pages, int64_t block, std::vector<HeldPage>& to) const;
  bool window_pages(const BlockPages& pages, int64_t num_tokens, std::vector<HeldPage>& to) const;
  struct NewBlocks;
  std::optional<NewBlocks> gather(const Path& path, std::span<const int32_t> tokens,
                                  const BlockPages& pages) const;
  Node* grow(const std::string& salt, std::span<const int32_t> tokens, NewBlocks blocks);
  Node* add_block(Hash hash, Node* parent, Roots::iterator root, std::span<const int32_t> tokens,
                  const std::vector<HeldPage>& lasting);

  ByUse& by_use(const Node& node);
  void refresh(Node* node);
  void drop_checkpoint(Node* node);
  void move_checkpoint(Node* node, PageTier to);
  void set_on_device(Node* node, bool is_on_device);
  static bool only_host_needs(const Node& node);
  int64_t pages_to_host(const Node* node) const;
  bool make_host_room_for(const Node* node);
  bool evict_from_host();
  void forget_on_host(Node* node);
  void remove(Node* node);
  void trim(Node* node);

  KvLayout layout_;
  CachedPages& pages_;
  uint64_t key_;
  int hash_bits_;
  bool has_windows_;
  Roots roots_;
  std::unordered_map<Hash, std::unique_ptr<Node>, HashOfHash> nodes_;
  ByUse on_device_, on_host_;
  int64_t next_use_ = 1;
};

}  // namespace longgen
