import CLinux
import Engine
import EventLoop
import Primitives

extension Worker where Engine: ~Copyable {
    /// Links that keep more than this read behind what they keep instead of into the shared room.
    static var prependLimitBytes: Int { 8 * 1024 }
    /// Least room to read into behind kept bytes.
    private static var leastRoomBytes: Int { 1024 }

    @inline(__always)
    mutating func read(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ what: Interest) {
        if place.pointee.flags.meets(.readsOddly) {
            if place.pointee.flags.meets(.paused) { return hush(link, place, what) }
            return readEncrypted(link, place)
        }
        if let kept = place.pointee.kept {
            return kept.count > Self.prependLimitBytes
                ? readBehind(link, place, kept) : readAfterPrepending(link, place, kept)
        }
        switch Stream.receive(place.pointee.descriptor, into: receiveRoom, Self.receiveBytes) {
        case .moved(let count) where count > 0:
            if ring.isOn { considerRing(link, place, count) }
            offer(link, ByteView(base: receiveRoom, count: count))
        case .moved: end(link, .endOfFile)
        case .wouldBlock: return
        case .failed(let error): end(link, .failed(error))
        }
    }

    @inline(never)
    private mutating func readAfterPrepending(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ kept: Block
    ) {
        let view = kept.view
        receiveRoom.copyMemory(from: view.base, byteCount: view.count)
        let room = Self.receiveBytes - view.count
        switch Stream.receive(place.pointee.descriptor, into: receiveRoom + view.count, room) {
        case .moved(let count) where count > 0:
            offer(link, ByteView(base: receiveRoom, count: view.count + count))
        case .moved: end(link, .endOfFile)
        case .wouldBlock: return
        case .failed(let error): end(link, .failed(error))
        }
    }

    @inline(never)
    private mutating func readBehind(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ kept: Block
    ) {
        guard kept.count < BlockStore.limitBytes else { return end(link, .failed(linux_no_memory)) }
        let block = blocks.makeRoom(for: Self.leastRoomBytes, in: kept)
        place.pointee.kept = block
        switch Stream.receive(place.pointee.descriptor, into: block.tail, block.room) {
        case .moved(let count) where count > 0:
            block.wrote(count)
            offerKept(link, place)
        case .moved: end(link, .endOfFile)
        case .wouldBlock: return
        case .failed(let error): end(link, .failed(error))
        }
    }

    /// Hands bytes in the shared room to the engine, and keeps what it leaves.
    @inline(__always)
    mutating func offer(_ link: LinkID, _ view: ByteView) {
        actions.removeAll()
        let used = engine.received(view, from: link, now: now, into: &actions)
        carryOut(from: view)
        guard let place = connection(link) else { return }
        if used == view.count, place.pointee.kept == nil { return }
        keep(view.slice(max(0, used)), place)
    }

    /// What a link keeps is now these bytes, of the shared room.
    @inline(never)
    private mutating func keep(_ rest: ByteView, _ place: UnsafeMutablePointer<Connection>) {
        if let old = place.pointee.kept {
            if old.capacity >= rest.count, !rest.isEmpty {
                old.clear()
                old.append(rest)
                return
            }
            place.pointee.kept = nil
            blocks.give(old)
        }
        guard !rest.isEmpty else { return }
        let block = blocks.take(rest.count)
        block.append(rest)
        place.pointee.kept = block
    }

    /// Hands what a link keeps to the engine, from where it is kept.
    mutating func offerKept(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        place.pointee.flags.remove(.offering)
        guard !place.pointee.flags.meets([.paused, .shakingHands]), let block = place.pointee.kept else {
            return
        }
        // The actions speak of these bytes: nobody may give them back before the list has been carried out.
        place.pointee.kept = nil
        let view = block.view
        actions.removeAll()
        let used = engine.received(view, from: link, now: now, into: &actions)
        carryOut(from: view)
        block.consume(min(max(0, used), view.count))
        if connection(link) != nil, block.count > 0 {
            place.pointee.kept = blocks.fitted(block)
        } else {
            blocks.give(block)
        }
    }

    // MARK: Pausing

    /// Something came from a link that is paused: no longer watch for it. Only now, because most pauses are
    /// over before anything comes, and watching and not watching costs a system call each.
    @inline(never)
    private mutating func hush(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ what: Interest) {
        if what.meets(.anyEnd) {
            if case .client = link { return end(link, .endOfFile) }
            // A server's last words are still to be read.
            place.pointee.flags.insert(.endSeen)
        }
        place.pointee.flags.insert(.disarmed)
        if what.meets(.broken), !place.pointee.flags.contains(.forgotten) {
            place.pointee.flags.insert(.forgotten)
            place.pointee.flags.remove(.watched)
            poller.remove(place.pointee.descriptor)
        } else {
            updateInterest(link, place)
        }
    }

    mutating func resumeReading(_ link: LinkID) {
        guard let place = connection(link), place.pointee.flags.contains(.paused) else { return }
        place.pointee.flags.remove(.paused)
        if place.pointee.flags.contains(.disarmed) {
            let wasForgotten = place.pointee.flags.contains(.forgotten)
            place.pointee.flags.subtract([.disarmed, .endSeen, .forgotten])
            if ring.isOn {
                if !place.pointee.flags.meets([.armed, .bulky]) { arm(link, place) }
                updateInterest(link, place)
            } else if wasForgotten {
                poller.add(place.pointee.descriptor, place.pointee.interest, word: link.packed)
            } else {
                updateInterest(link, place)
            }
        }
        // The event now being carried out may be the one whose bytes are about to be kept, so look again
        // later.
        guard !place.pointee.flags.contains(.offering) else { return }
        place.pointee.flags.insert(.offering)
        followUps.append(FollowUp(kind: .offer, link: link.packed))
    }

    func updateInterest(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        if place.pointee.flags.contains(.forgotten) { return }
        if ring.isOn { return updateRareInterest(link, place) }
        poller.change(place.pointee.descriptor, place.pointee.interest, word: link.packed)
    }

    /// With a ring: the poller knows only those links that wait for something the ring does not tell.
    private func updateRareInterest(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        let interest = place.pointee.rareInterest
        let descriptor = place.pointee.descriptor
        if interest.isEmpty {
            guard place.pointee.flags.meets(.watched) else { return }
            place.pointee.flags.remove(.watched)
            poller.remove(descriptor)
        } else if place.pointee.flags.meets(.watched) {
            poller.change(descriptor, interest, word: link.packed)
        } else {
            place.pointee.flags.insert(.watched)
            poller.add(descriptor, interest, word: link.packed)
        }
    }
}
