import { mount } from 'svelte'
import './styles/fonts.css'
import './styles/page.css'
import App from './App.svelte'

export default mount(App, { target: document.getElementById('app')! })
