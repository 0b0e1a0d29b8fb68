import CLinux
import Engine
import EventLoop
import Primitives
import Session
import TLS

/// Links whose bytes are encrypted. One `recv` and one `send` a batch, as for the others; between them and
/// the engine the library works on memory that all links share.
extension Worker where Engine: ~Copyable {
    // MARK: Beginning

    /// From here on every byte of this link is TLS's. What the engine leaves of the bytes being read is the
    /// front of the handshake, so that begins when the list has been carried out.
    mutating func startTLS(_ link: LinkID, _ host: ByteString, isDirect: Bool) {
        guard let place = connection(link), !place.pointee.flags.contains(.secured) else { return }
        place.pointee.flags.formUnion([.secured, .shakingHands])
        let contexts = settings.security.current
        let context =
            switch link {
            case .client: contexts.clients
            case .server: contexts.servers
            }
        if let context, let stream = TLSStream(context, server: host, demandsProtocol: isDirect) {
            if exchange == nil { exchange = TLSExchange() }
            place.pointee.stream = stream
            followUps.append(FollowUp(kind: .handshake, link: link.packed))
        } else {
            followUps.append(FollowUp(kind: .noTLS, link: link.packed))
        }
    }

    /// With what came before anybody knew that it would be TLS.
    mutating func beginHandshake(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard place.pointee.flags.contains(.shakingHands) else { return }
        let front = place.pointee.kept
        place.pointee.kept = nil
        decrypt(link, place, front?.view ?? ByteView(base: receiveRoom, count: 0))
        if let front { blocks.give(front) }
    }

    // MARK: Reading

    @inline(never)
    mutating func readEncrypted(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        if place.pointee.flags.contains(.shakingHands), place.pointee.kept != nil {
            beginHandshake(link, place)
            guard connection(link) != nil else { return }
        }
        switch Stream.receive(place.pointee.descriptor, into: receiveRoom, Self.receiveBytes) {
        case .moved(let count) where count > 0:
            if ring.isOn { considerRing(link, place, count) }
            decrypt(link, place, ByteView(base: receiveRoom, count: count))
        case .moved: end(link, .endOfFile)
        case .wouldBlock: return
        case .failed(let error): end(link, .failed(error))
        }
    }

    /// Bytes that the ring received.
    mutating func takeEncrypted(
        _ bytes: ByteView, of link: LinkID, _ place: UnsafeMutablePointer<Connection>
    ) {
        if place.pointee.flags.contains(.shakingHands), place.pointee.kept != nil {
            beginHandshake(link, place)
            guard connection(link) != nil else { return }
        }
        decrypt(link, place, bytes)
    }

    /// Hands encrypted bytes to the library, all of them, and what comes out to the engine.
    private mutating func decrypt(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ bytes: ByteView
    ) {
        var rest = bytes
        if place.pointee.flags.contains(.shakingHands) {
            guard shakeHands(link, place, &rest), !rest.isEmpty else { return }
        }
        guard let stream = place.pointee.stream, let room = exchange?.room else { return }
        // What was kept stands in front, where that is cheaper than the other way round.
        var held = 0
        if let kept = place.pointee.kept, kept.count <= Self.prependLimitBytes {
            room.copyMemory(from: kept.view.base, byteCount: kept.count)
            held = kept.count
        }
        let front = held
        var reading = TLSStream.Reading.nothing
        repeat {
            reading = stream.read(&rest, into: room + held, TLSExchange.roomBytes - held, &exchange!)
            if case .bytes(let count) = reading { held += count }
        } while reading.goesOn && (!rest.isEmpty || stream.hasMore)
        sendOutput(link, place)
        if held > front { deliver(link, place, ByteView(base: room, count: held), isWhole: front > 0) }
        guard let place = connection(link) else { return }
        switch reading {
        case .bytes, .nothing: return
        case .closed:
            // Its last words have been heard, or are kept: then the connection's own end is waited for.
            if place.pointee.kept == nil, !place.pointee.flags.contains(.paused) { end(link, .endOfFile) }
        case .failed(let failure): end(link, .brokenTLS(failure.text))
        }
    }

    /// Decrypted bytes; `isWhole` when what was kept is in front of them.
    private mutating func deliver(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ bytes: ByteView, isWhole: Bool
    ) {
        guard let kept = place.pointee.kept, !isWhole else {
            if place.pointee.flags.contains(.paused) { return hold(bytes, place) }
            return offer(link, bytes)
        }
        guard kept.count < BlockStore.limitBytes else { return end(link, .failed(linux_no_memory)) }
        let block = blocks.makeRoom(for: bytes.count, in: kept)
        block.append(bytes)
        place.pointee.kept = block
        offerKept(link, place)
    }

    /// Keeps bytes of a link that is paused, in place of what it keeps.
    private mutating func hold(_ bytes: ByteView, _ place: UnsafeMutablePointer<Connection>) {
        let block = blocks.take(bytes.count)
        block.append(bytes)
        if let old = place.pointee.kept { blocks.give(old) }
        place.pointee.kept = block
    }

    /// Whether the handshake is done and the link still there.
    private mutating func shakeHands(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ bytes: inout ByteView
    ) -> Bool {
        guard let stream = place.pointee.stream else { return false }
        let step = stream.handshake(&bytes, &exchange!)
        sendOutput(link, place)
        switch step {
        case .goesOn: return false
        case .failed(let failure):
            end(link, .brokenTLS(failure.text))
            return false
        case .done: break
        }
        place.pointee.flags.remove(.shakingHands)
        actions.removeAll()
        engine.secured(link, Encryption(stream.facts), now: now, into: &actions)
        carryOut()
        return connection(link) != nil
    }

    // MARK: Writing

    /// Encrypts what has been gathered for this link, and writes it at once.
    @inline(never)
    mutating func encryptOutput(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard let stream = place.pointee.stream else { return }
        let pieces = output.pieces
        let failure = stream.write(count: output.count, &exchange!) {
            ByteView(base: pieces[$0].base, count: pieces[$0].count)
        }
        sendOutput(link, place)
        if failure != nil { fail(link, place, linux_reset) }
    }

    /// Sends what the library wrote; what the kernel does not take is owed.
    private mutating func sendOutput(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard let bytes = exchange?.output, !bytes.isEmpty else { return }
        defer { exchange?.clearOutput() }
        settleRequests(place)
        guard !place.pointee.flags.meets(.speechless) else { return }
        var taken = 0
        if place.pointee.owed == nil {
            switch Stream.send(place.pointee.descriptor, bytes.base, bytes.count) {
            case .moved(let count) where count == bytes.count: return
            case .moved(let count): taken = count
            case .wouldBlock: break
            case .failed(let error): return fail(link, place, error)
            }
        }
        owe(link, place, bytes.slice(taken))
    }

    /// Tells the peer that this was all, so that it knows nothing was cut off.
    mutating func sayGoodbye(_ link: LinkID) {
        guard let place = connection(link), let stream = place.pointee.stream else { return }
        stream.close(&exchange!)
        sendOutput(link, place)
    }
}

extension TLSStream.Reading {
    fileprivate var goesOn: Bool {
        if case .bytes = self { return true }
        return false
    }
}

extension Encryption {
    fileprivate convenience init(_ facts: TLSFacts) {
        self.init(
            version: facts.version, cipher: facts.cipher, group: facts.group,
            peerName: facts.isPeerVerified ? facts.peerName : nil, hasPeerCertificate: facts.hasPeer,
            endpointDigest: facts.endpointDigest)
    }
}
