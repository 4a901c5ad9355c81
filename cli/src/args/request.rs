//! `request`, as clap reads it.

use clap::Subcommand;

/// `request`.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactRequest {
    /// Who asks, and what they say.
    #[command(
        after_help = "Strangers are heard only if the configuration says so: accept_requests = \"anyone\" under [privacy]. \
                      Whoever has a ticket need not ask. A name is what the stranger calls itself: it may be anybody's.\n\n\
                      Example:\n  murmesh request list"
    )]
    List,
    /// Let somebody in: a contact like others from then on.
    #[command(
        after_help = "Until then they learn nothing of you. What they said so far is read with `murmesh read`.\n\n\
                      Example:\n  murmesh request accept 3f9a27 --as carol"
    )]
    Accept {
        /// The id that `murmesh request list` shows, a unique beginning of it, or the account.
        id: String,
        /// Your name for the contact; their nickname unless given.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    /// Hear no more of it. They are not told: to them you have not answered yet.
    #[command(
        after_help = "They may ask again after 90 days, or never with --block; you may add them at any time.\n\n\
                      Example:\n  murmesh request decline 3f9a27"
    )]
    Decline {
        /// The id that `murmesh request list` shows, a unique beginning of it, or the account.
        id: String,
        /// For good: as with `murmesh contact block`.
        #[arg(long)]
        block: bool,
    },
}
