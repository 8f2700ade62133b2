/** Whether an operator has said that a step is not waited for any longer. */
