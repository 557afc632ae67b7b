//! What has to be known before a question is put, asked once for all questions about the same time and the same observations.

use super::ask::{AskError, rows};
use super::changes::Changes;
use super::observed::Chosen;
use super::taken::Taken;
use super::{Counted, Question};
use std::sync::Arc;
use tokio::sync::OnceCell;
use weir_store::Store;

/// It.
pub(crate) struct Once<'s> {
    store: &'s Store,
    chosen: OnceCell<Arc<Chosen>>,
}

impl<'s> Once<'s> {
    /// Nothing is known yet.
    pub(crate) fn of(store: &'s Store) -> Self {
        Self { store, chosen: OnceCell::new() }
    }

    /// What changes in the time of a question and in the time before it, and where the records that count were observed then.
    pub(crate) async fn changes(&self, question: &Question) -> Result<Changes, AskError> {
        let from = question.detail.previous.unwrap_or(question.period.window).from;
        let behind = Changes::behind(self.store.database(), from, &Taken::of(question));
        let chosen = self.chosen.get_or_try_init(|| self.chosen(question));
        let (behind, chosen) = tokio::try_join!(rows::<Changes>(self.store, behind), chosen)?;
        let mut changes = behind.into_iter().next().unwrap_or_default();
        changes.chosen = Arc::clone(chosen);
        Ok(changes)
    }

    async fn chosen(&self, question: &Question) -> Result<Arc<Chosen>, AskError> {
        let asked = Chosen::asked(self.store.database(), &question.tables, question.period.window);
        let (Counted::Chosen, Some(asked)) = (question.observation, asked) else {
            return Ok(Arc::default());
        };
        Ok(Arc::new(Chosen::of(rows(self.store, asked).await?)))
    }
}
