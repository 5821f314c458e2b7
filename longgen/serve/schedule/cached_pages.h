// serve/schedule/cached_pages.h: the pages of the prefix cache, on the device or on the host, and
// what is to be copied between the two.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "longgen/kv_cache/page_copies.h"
#include "longgen/kv_cache/page_demand.h"

namespace longgen {

/// The page pool, as owners of pages see it.
class PageOwners {
 public:
  virtual ~PageOwners() = default;
  /// Appends `count` pages with one owner each. False, and nothing has changed, where the pool has
  /// no memory for them.
  virtual bool allocate(int64_t count, std::vector<PageId>& pages) = 0;
  virtual void share(PageId page) = 0;
  virtual void release(PageId page) = 0;
  /// Says why a page that was just allocated is kept.
  virtual void set_kind(PageId page, PageKind kind) = 0;
};

/// Where a page is, for one of its holders.
enum class PageTier { device, host };

/// Owns pages for holders: the prefix cache, and sequences that have lost their pages for a while.
/// Each of them wants its page on the device or is content with the host.
/// A page stays on the device as long as one holder wants it there. When none does, it is copied to
/// the host, and the pool has it back when that copy has been made; it counts as leaving until
/// then. When a holder wants it there again, it gets a page of the pool, and is copied back unless
/// it has not left yet. Nobody writes to a page while it has holders, so that it may be copied at
/// any time. Decides only: others make the copies, some at a time. Not thread-safe.
class CachedPages {
 public:
  /// Names a page, wherever it is.
  using Ref = int32_t;
  using Refs = std::vector<Ref>;

  /// The owners must outlive it; it releases all pages when it goes.
  CachedPages(const KvLayout& layout, PageOwners& owners, int64_t host_capacity);
  ~CachedPages();
  CachedPages(const CachedPages&) = delete;
  CachedPages& operator=(const CachedPages&) = delete;

  /// Adds a holder on the device for a page of the pool, of which it becomes one more owner if it
  /// is not yet.
  Ref hold(const HeldPage& held);
  /// Removes a holder.
  void release(Ref ref, PageTier from);
  /// Is a page of the pool here, whoever holds it?
  bool owns(PageId page) const { return find(page) != kNone; }
  /// The page must be on the device.
  HeldPage held(Ref ref) const;

  /// How many pages of the host to_host() takes for these.
  int64_t num_to_host(std::span<const Ref> refs) const;
  /// A holder of each leaves the device. The host must have room for num_to_host(), also where
  /// other holders keep a page on the device: they may leave at any time.
  void to_host(std::span<const Ref> refs);
  /// How many pages of the pool to_device() takes for these.
  int64_t num_to_device(std::span<const Ref> refs) const;
  /// A holder of each comes back to the device. False, and nothing has changed, where the pool has
  /// no memory for them.
  bool to_device(std::span<const Ref> refs);
  /// A holder comes back to the device, where `page` of another owner holds the same.
  void to_device(Ref ref, PageId page);

  /// Promises a page of the host to a sequence, or takes promises back. There must be room.
  void promise(int64_t pages) { promised_ += pages; }
  /// Adds a holder on the host for a page of a sequence, which lets its own page go. As many pages
  /// of the host must have been promised for it.
  Ref swap_out(const HeldPage& held);
  /// Have these all left, as far as nobody else wants them on the device?
  bool have_left(std::span<const Ref> refs) const;
  /// The holder wants it on the device again. False, and nothing has changed, where the pool has no
  /// memory for them.
  bool swap_in(std::span<const Ref> refs);
  /// Removes the holder of a sequence, which has become an owner of its page, or does not want it.
  void release_swapped(Ref ref, bool is_back);

  /// Pages of the pool that it owns, each once, leaving ones among them, but not those that only a
  /// sequence is to have back: they count as the sequence's own.
  const PageKinds& on_device() const { return on_device_; }
  int64_t num_leaving() const { return num_leaving_; }
  /// Pages of the host that are taken, those to which something is yet to be copied among them.
  const PageKinds& on_host() const { return on_host_; }
  int64_t host_capacity() const { return host_capacity_; }
  /// What is left for the prefix cache beside what is promised to sequences.
  int64_t host_room() const { return host_capacity_ - promised_ - num_cached_on_host_; }
  int64_t host_promised() const { return promised_; }

  /// Is there something to be copied, or being copied?
  bool has_copies() const { return !waiting_in_.empty() || !waiting_out_.empty() || is_copying(); }
  bool is_copying() const { return !under_way_.empty(); }
  /// The next copies, at most so many, back to the device first; none are given out before
  /// end_copies() has said that these are done.
  PageCopies begin_copies(int64_t most);
  void end_copies();
  /// Is the page yet to be copied to the device?
  bool is_arriving(Ref ref) const { return pages_[ref].copy == Copy::in; }
  /// Copies to the device are made in order. Those that were asked for so far; what is arriving now
  /// is there when num_arrived() has reached it.
  int64_t num_asked() const { return num_asked_; }
  int64_t num_arrived() const { return num_arrived_; }

 private:
  enum class Copy { none, in, out };
  struct Page {
    int32_t table = 0, block = 0;
    PageId device = kNoPage;
    HostPageId host = kNoHostPage;
    int32_t device_holders = 0, host_holders = 0;  // of the prefix cache
    int32_t swapped = 0, returning = 0;            // sequences, on the host and on the device
    Copy copy = Copy::none;                        // that is to be made, or being made
    bool is_under_way = false;
    bool is_on_host = false;  // the host's page holds it already

    bool wants_device() const { return device_holders + returning > 0; }
    bool wants_host() const { return host_holders + swapped > 0; }
    bool is_leaving() const { return device != kNoPage && !wants_device(); }
    /// Does its page of the pool count as the cache's?
    bool is_cached() const {
      const bool must_leave = host_holders > 0 && !is_on_host;
      return device != kNoPage && (device_holders > 0 || returning == 0 || must_leave);
    }
    /// Does its page of the host?
    bool is_cached_on_host() const {
      return host != kNoHostPage && (host_holders > 0 || swapped + returning == 0);
    }
  };
  static constexpr Ref kNone = -1;

  Ref find(PageId page) const;
  Ref new_page(int32_t table, int32_t block);
  Ref take(const HeldPage& held);
  template <typename Change>
  void change(Ref ref, const Change& change);
  void count(const Page& page, int64_t sign);
  void settle(Ref ref);
  void put_on_device(Ref ref, PageId page);
  void take_from_device(Page& page);
  void put_on_host(Page& page);
  void take_from_host(Page& page);
  bool take_back(std::span<const Ref> refs, int32_t Page::*from, int32_t Page::*to);
  void take_waiting(std::deque<Ref>& waiting, Copy copy, int64_t most, std::vector<PageCopy>& to);

  KvLayout layout_;
  PageOwners& owners_;
  int64_t host_capacity_;
  std::vector<Page> pages_;
  Refs free_;       // names of no page
  Refs of_device_;  // for each page of the pool
  std::vector<HostPageId> host_free_;
  HostPageId host_unused_ = 0;  // from here on never taken
  PageKinds on_device_, on_host_;
  int64_t num_leaving_ = 0, num_cached_on_host_ = 0, promised_ = 0;
  std::deque<Ref> waiting_in_, waiting_out_;  // some of which are not wanted any more
  Refs under_way_;
  int64_t num_asked_ = 0, num_arrived_ = 0, num_arriving_ = 0;  // arriving: once these are done
};

}  // namespace longgen
